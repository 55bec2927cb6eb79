import OpenAI from "openai";

export const baseURL = `${process.env.GATEWAY_URL}/v1`;
export const apiKey = process.env.GATEWAY_TOKEN;
export const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
export const hi = { model: "openclaw", messages: [{ role: "user", content: "hi" }] };

export function print(value) {
  console.log(JSON.stringify(value));
}
