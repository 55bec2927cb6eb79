// One question, asked in each way there is.
import { client, hi, print } from "./client.mjs";

const plain = await client.chat.completions.create(hi);

let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...hi, stream: true })) {
  streamed += chunk.choices[0].delta.content ?? "";
}

const withUsage = [];
const options = { stream: true, stream_options: { include_usage: true } };
for await (const chunk of await client.chat.completions.create({ ...hi, ...options })) {
  withUsage.push(chunk);
}

const gathered = await client.chat.completions.stream(hi).finalChatCompletion();

print({ plain, streamed, withUsage, gathered });
