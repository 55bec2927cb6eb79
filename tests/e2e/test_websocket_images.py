"""Images over WebSocket: `attachments` of `chat.send` and `agent`, with the limits that HTTP has."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess, config_for
from tests.support.operator import Frame, Operator, operator
from tests.support.provider import ScriptedProvider
from tests.unit.media.image_host import png

MiB = 1024 * 1024
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"


def attachment(content: bytes, mime: str = "image/png") -> dict[str, Any]:
    data = base64.b64encode(content).decode()
    return {"type": "image", "mimeType": mime, "fileName": "x.png", "content": data}


def sized(size: int) -> dict[str, Any]:
    return attachment(png().ljust(size, b"x"))


def params(*attachments: Any) -> Frame:
    return {
        "sessionKey": "ws-image",
        "message": "what is it?",
        "idempotencyKey": str(uuid.uuid4()),
        "attachments": list(attachments),
    }


def shown_to_the_model(client: Operator, provider: ScriptedProvider, *attachments: Any) -> list[str]:
    """The URLs of the images that the provider gets."""
    client.call("chat.send", params(*attachments))
    client.until("chat", state="final")
    content = provider.messages()[-1][1]
    assert content[0] == {"type": "text", "text": "what is it?"}
    return [part["image_url"]["url"] for part in content[1:]]


def uri(content: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def test_an_attached_image_reaches_the_model(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    with operator(gateway) as client:
        assert shown_to_the_model(client, provider, attachment(png())) == [uri(png())]


@pytest.mark.parametrize("label", ["image/jpeg", "IMAGE/PNG", "image/heic"])
def test_a_mislabelled_image_gets_its_real_type(
    gateway: GatewayProcess, provider: ScriptedProvider, label: str
) -> None:
    with operator(gateway) as client:
        assert shown_to_the_model(client, provider, attachment(png(), label)) == [uri(png())]


def test_the_content_may_be_a_data_uri(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    image = {**attachment(png()), "content": uri(png())}
    with operator(gateway) as client:
        assert shown_to_the_model(client, provider, image) == [uri(png())]


REFUSED: dict[str, tuple[list[Any], str, str]] = {
    "no object": (["x"], "/0", "must have"),
    "neither type nor content": ([{"x": 1}], "/0", "must have"),
    "no image's type": ([attachment(png(), "application/pdf")], "/0", "must have"),
    "SVG": ([attachment(b"<svg/>", "image/svg+xml")], "/0", "not accepted"),
    "text as PNG": ([attachment(png()), attachment(b"hello")], "/1", "is not an image"),
    "HEIC": ([attachment(HEIC, "image/heic")], "/0", "JPEG or PNG"),
    "HEIC as JPEG": ([attachment(HEIC, "image/jpeg")], "/0", "JPEG or PNG"),
    "one too large": ([sized(10 * MiB + 1)], "/0", "at most 10 MiB"),
    "nine": ([attachment(png())] * 9, "", "at most 8 images"),
    "broken base64": ([{**attachment(png()), "content": "iVBORw0K_-8="}], "/0", "not valid base64"),
    "nothing": ([attachment(b"")], "/0", "empty"),
}


@pytest.mark.parametrize("method", ["chat.send", "agent"])
@pytest.mark.parametrize("what", REFUSED)
def test_an_unfit_image_is_refused(
    gateway: GatewayProcess, provider: ScriptedProvider, what: str, method: str
) -> None:
    attachments, place, reason = REFUSED[what]
    with operator(gateway) as client:
        refused = client.refusal(method, params(*attachments))
    assert refused["code"] == "INVALID_REQUEST"
    assert refused["message"].startswith(f"invalid {method} params: at /attachments{place}: ")
    assert reason in refused["message"]
    assert len(refused["message"]) < 300
    assert provider.requests == []


def test_attachments_must_be_a_list(gateway: GatewayProcess) -> None:
    with operator(gateway) as client:
        refused = client.refusal("chat.send", {**params(), "attachments": {"0": attachment(png())}})
    assert refused["message"].startswith("invalid chat.send params: at /attachments: ")


def test_a_first_message_of_a_session_is_checked_too(gateway: GatewayProcess) -> None:
    with operator(gateway) as client:
        words = {"message": "what is it?", "attachments": [attachment(b"hello")]}
        refused = client.refusal("sessions.create", {"key": "ws-first-image", **words})
    assert "at /attachments/0: " in refused["message"]


def test_the_limits_are_those_of_the_configuration(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    images = {"maxBytes": 1000, "allowedMimes": ["image/png"]}
    limits = {"enabled": True, "maxImageParts": 3, "maxTotalImageBytes": 2000, "images": images}
    gateway = start_gateway(config_for(provider.url, http={"endpoints": {"chatCompletions": limits}}))
    with operator(gateway) as client:
        assert len(shown_to_the_model(client, provider, sized(1000), sized(1000))) == 2
        for attachments, place, reason in [
            ([sized(1001)], "/0", "an image may have at most"),
            ([sized(1000), sized(1000), sized(100)], "/2", "together"),
            ([sized(100)] * 4, "", "at most 3 images"),
            ([attachment(b"\xff\xd8\xff\xe0", "image/png")], "/0", "image/jpeg are not accepted"),
        ]:
            refused = client.refusal("chat.send", params(*attachments))
            assert refused["message"].startswith(f"invalid chat.send params: at /attachments{place}: ")
            assert reason in refused["message"]
