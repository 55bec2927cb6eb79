// The Vercel AI SDK, with its provider for OpenAI-compatible servers: ai_sdk.mjs generate|stream QUESTION
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

import { apiKey, baseURL, print } from "./client.mjs";

const [way, prompt] = process.argv.slice(2);
const openclaw = createOpenAICompatible({ name: "openclaw", baseURL, apiKey, includeUsage: true });
const weather = { Paris: "sunny", Rome: "rain" };

const get_weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => weather[city],
});

const task = {
  model: openclaw("openclaw:main"),
  prompt,
  tools: { get_weather },
  stopWhen: isStepCount(3),
  maxRetries: 0,
};
const result = await (way === "stream" ? streamText(task) : generateText(task));

const pieces = [];
for await (const piece of result.textStream ?? []) {
  pieces.push(piece);
}
const steps = await result.steps;
print({
  pieces,
  text: await result.text,
  calls: steps.flatMap((step) => step.toolCalls.map((call) => [call.toolCallId, call.input.city])),
  reasons: steps.map((step) => step.finishReason),
  outputTokens: steps.map((step) => step.usage.outputTokens),
});
