"""A conversation in the order that models' providers accept (docs/sessions.md#what-the-model-sees). Pure.

Stored and resent conversations break this order without anybody's fault: runs fail and leave a question
unanswered, answers are cut in the middle of a tool call, clients drop results, or send a question while a
tool is still at work. A provider refuses such a conversation, and would refuse it again with every later
question. So before each call of a model

* each message with tool calls is followed by their results, and by nothing else in between;
* calls without a result, and results without a call, are left out; where nothing else would be there to
  answer, such results become a message of the user;
* the arguments of calls are JSON objects;
* answers without any content are left out;
* neighbouring messages of the user, and of the assistant, are joined: the chat templates of many models want
  the two to alternate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec
import orjson

from app.json_values import load_json
from app.messages import Content, ImagePart, Message, PlainMessage, PlainMessages, TextPart, ToolCall
from app.sessions.matching import is_blank

SEPARATOR = "\n\n"  # between the texts of joined messages

_role, _content, _tool_calls = attrgetter("role"), attrgetter("content"), attrgetter("tool_calls")


class Ordered(msgspec.Struct, frozen=True):
    """`messages` in order. `unpaired` are the places, in the conversation as it was given, of calls without
    all their results and of results without a call."""

    messages: Sequence[Message]
    unpaired: Sequence[int] = ()


def put_in_order(messages: Sequence[Message]) -> Ordered:
    """The conversation as providers accept it; the very same object if it is in order already.

    `messages` has no system messages.
    """
    if _is_plain(messages):
        return Ordered(messages)
    ordered, unpaired = _paired(messages)
    return Ordered(tuple(_joined(ordered)), unpaired)


def _is_plain(messages: Sequence[Message]) -> bool:
    """Whether it is plain text in which user and assistant take turns, as nearly all conversations are.

    Looks at the messages in C alone, for there may be thousands: those at even places have one role, those at
    odd places the other.
    """
    plain: Sequence[Message | PlainMessage]
    if isinstance(messages, PlainMessages):
        plain, roles = messages.wire, messages.roles
    else:
        plain, roles = messages, [*map(_role, messages)]
        if any(map(_tool_calls, messages)):
            return False
    if roles == ["user"]:
        return True
    first = "user" if "user" in roles[:1] else "assistant"
    second = "assistant" if first == "user" else "user"
    firsts, seconds = roles[::2], roles[1::2]
    if firsts.count(first) < len(firsts) or seconds.count(second) < len(seconds):
        return False
    answers = [*map(_content, plain[1::2] if first == "user" else plain[::2])]
    try:
        return all(answers) and not any(map(str.isspace, answers))
    except TypeError:  # parts
        return False


def _paired(messages: Sequence[Message]) -> tuple[list[Message], list[int]]:
    """The messages with each call followed by its results, and the places of those that lack something.

    A result may come anywhere before the next message of the assistant. A later one came too late: the
    conversation has gone on without it.
    """
    ordered: list[Message] = []
    unpaired: list[int] = []
    starts = [place for place, message in enumerate(messages) if message.role == "assistant"]
    for start, end in zip([-1, *starts], [*starts, len(messages)], strict=True):
        after = range(start + 1, end)
        results = {place: messages[place] for place in after if messages[place].role == "tool"}
        paired: set[int] = set()
        if start >= 0:
            answer, paired = _answered(messages[start], results)
            if len(answer.tool_calls) < len(messages[start].tool_calls):
                unpaired.append(start)
            if not is_blank(answer):
                ordered.append(answer)
        stray = [place for place in results if place not in paired]
        ordered += [result for place, result in results.items() if place in paired]
        ordered += [messages[place] for place in after if place not in results]
        if len(stray) == len(after):
            ordered += [_as_text(results[place]) for place in stray]
        unpaired += stray
    return ordered, unpaired


def _answered(message: Message, results: Mapping[int, Message]) -> tuple[Message, set[int]]:
    """The assistant's message with those of its calls that have a result, and the places of these results.

    Of several results for one call the newest counts: it was sent to correct the others.
    """
    if not message.tool_calls:
        return message, set()
    called = Counter(call.id for call in message.tool_calls if call.id and call.name)
    places: dict[str | None, list[int]] = defaultdict(list)
    for place, result in results.items():
        places[result.tool_call_id].append(place)
    newest = {call_id: places[call_id][-count:] for call_id, count in called.items()}
    paired = {place for some in newest.values() for place in some}
    calls: list[ToolCall] = []
    for call in message.tool_calls:
        if call.name and newest.get(call.id):
            newest[call.id].pop()
            calls.append(_with_json_arguments(call))
    if (kept := tuple(calls)) == message.tool_calls:
        return message, paired
    return message._replace(tool_calls=kept), paired


def _as_text(result: Message) -> Message:
    """A result whose call is not there, as a message of the user."""
    return Message("user", f"[Result of the tool call {result.tool_call_id}]\n{result.text}")


def _with_json_arguments(call: ToolCall) -> ToolCall:
    """The call with a JSON object as its arguments: providers parse them, and refuse anything else."""
    try:
        arguments = load_json(call.arguments)
    except ValueError:
        arguments = call.arguments.strip() or None
    if isinstance(arguments, dict):
        return call
    as_object = {} if arguments is None else {"arguments": arguments}
    return msgspec.structs.replace(call, arguments=orjson.dumps(as_object).decode())


def _joined(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages with neighbouring ones of the user joined, and those of the assistant."""
    for role, group in groupby(messages, _role):
        if role == "user":
            yield _join([*group])
        elif role == "assistant":
            yield _join_answers([*group])
        else:
            yield from group


def _join_answers(answers: Sequence[Message]) -> Message:
    """One message out of one or several, of which the last alone may have calls: results follow each call."""
    last = answers[-1]
    if len(answers) == 1:
        return last
    texts = [one.text if one.text.strip() else one.refusal or "" for one in answers]
    return last._replace(content=SEPARATOR.join(filter(None, texts)), refusal=None)


def _join(users: Sequence[Message]) -> Message:
    """One message out of one or several. The names of several people are put before their texts."""
    names = {one.name for one in users}
    if len(users) == 1:
        return users[0]
    contents = [one.content if len(names) == 1 else _signed(one) for one in users]
    name = names.pop() if len(names) == 1 else None
    if all(isinstance(one, str) for one in contents):
        texts = [one for one in contents if isinstance(one, str) and one.strip()]
        return Message("user", SEPARATOR.join(texts), name=name)
    parts = (part for content in contents for part in _parts(content))
    return Message("user", tuple(parts), name=name)


def _signed(message: Message) -> Content:
    if not message.name:
        return message.content
    if isinstance(message.content, str):
        return f"{message.name}: {message.content}"
    return (TextPart(f"{message.name}:"), *message.content)


def _parts(content: Content) -> Sequence[TextPart | ImagePart]:
    if not isinstance(content, str):
        return content
    return (TextPart(content),) if content.strip() else ()
