// What the package throws: failures.mjs refusals|rate_limit|mid_stream
import OpenAI from "openai";

import { apiKey, baseURL, client, hi, print } from "./client.mjs";

async function thrown(attempt) {
  try {
    await attempt();
  } catch (error) {
    const { status, type, code, param, message } = error;
    const kind = Object.entries(OpenAI).find(([, known]) => known === error.constructor)?.[0];
    return { kind, status, type, code, param, message, retryAfter: error.headers?.get("retry-after") };
  }
  return null;
}

const chat = (body) => client.chat.completions.create({ ...hi, ...body });
const stranger = new OpenAI({ baseURL, apiKey: `${apiKey}x`, maxRetries: 0 });
let heard = "";

const attempts = {
  refusals: {
    wrongKey: () => stranger.chat.completions.create(hi),
    badValue: () => chat({ temperature: 9 }),
    badValueStreaming: () => chat({ temperature: 9, stream: true }),
    noMessage: () => chat({ messages: [] }),
    unknownModel: () => chat({ model: "gpt-4o" }),
    unknownModelRetrieved: () => client.models.retrieve("gpt-4o"),
  },
  rate_limit: {
    plain: () => chat({}),
  },
  mid_stream: {
    async stream() {
      for await (const chunk of await chat({ stream: true })) {
        heard += chunk.choices[0].delta.content ?? "";
      }
    },
  },
};

const outcomes = {};
for (const [name, attempt] of Object.entries(attempts[process.argv[2]])) {
  outcomes[name] = await thrown(attempt);
}
print({ ...outcomes, heard });
