// A run whose agent uses a tool, its events asked for: events.mjs openai|stream|ai|langchain
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";

import { apiKey, baseURL, hi, print } from "./client.mjs";

const headers = { "x-openclaw-events": "tools,approvals,reasoning" };
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, defaultHeaders: headers });
const openclaw = createOpenAICompatible({ name: "openclaw", baseURL, apiKey, headers, includeUsage: true });
const task = { model: openclaw("openclaw:main"), prompt: "hi", maxRetries: 0 };
const chat = new ChatOpenAI({
  model: "openclaw:main",
  apiKey,
  maxRetries: 0,
  configuration: { baseURL, defaultHeaders: headers },
});

const ways = {
  async openai() {
    let text = "";
    const seen = [];
    for await (const chunk of await client.chat.completions.create({ ...hi, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
      if (chunk.openclaw) seen.push(chunk.openclaw.type);
    }
    return { text, seen };
  },
  async stream() {
    const completion = await client.chat.completions.stream(hi).finalChatCompletion();
    return { text: completion.choices[0].message.content, calls: completion.choices[0].message.tool_calls ?? [] };
  },
  async ai() {
    const result = streamText(task);
    let text = "";
    for await (const piece of result.textStream) text += piece;
    const steps = await result.steps;
    return { text, calls: steps.flatMap((step) => step.toolCalls), reasoning: await result.reasoningText };
  },
  async generate() {
    const result = await generateText(task);
    return { text: result.text, calls: result.toolCalls, reasoning: result.reasoningText };
  },
  async langchain() {
    let whole;
    for await (const piece of await chat.stream("hi")) whole = whole ? whole.concat(piece) : piece;
    return { text: whole.content, calls: whole.tool_calls };
  },
  async invoke() {
    const answer = await chat.invoke("hi");
    return { text: answer.content, calls: answer.tool_calls };
  },
};
print(await ways[process.argv[2]]());
