// A tool loop by hand: tools.mjs plain|stream QUESTION [USER]
import { client, print } from "./client.mjs";

const [way, question, user] = process.argv.slice(2);
const weather = { Paris: "sunny", Rome: "rain" };
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [
  { type: "function", function: { name: "get_weather", description: "The weather of a city.", parameters } },
];

function ask(messages) {
  const body = { model: "openclaw", user, messages, tools };
  return way === "stream"
    ? client.chat.completions.stream(body).finalChatCompletion()
    : client.chat.completions.create(body);
}

const messages = [{ role: "user", content: question }];
const first = (await ask(messages)).choices[0];
messages.push(first.message);
for (const call of first.message.tool_calls) {
  const { city } = JSON.parse(call.function.arguments);
  messages.push({ role: "tool", tool_call_id: call.id, content: weather[city] });
}
const last = (await ask(messages)).choices[0];

print({
  calls: first.message.tool_calls.map(({ id, function: called }) => [id, called.name, called.arguments]),
  reasons: [first.finish_reason, last.finish_reason],
  answer: last.message.content,
});
