from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator


def test_a_file_takes_in_another_and_what_stands_beside_it_wins(operator: Operator):
    operator.write("{port: 2001, bind: 'lan', auth: {mode: 'token', token: 'from-file'}}", "gw.json5")
    settings = operator.load("{gateway: {$include: 'gw.json5', port: 2002, auth: {token: 'beside'}}}")
    assert (settings.gateway.port, settings.gateway.host) == (2002, "0.0.0.0")
    assert (settings.gateway.auth.mode, settings.gateway.auth.token) == ("token", "beside")


def test_several_files_merge_deeply_in_their_order_and_lists_are_joined(operator: Operator):
    operator.write("{gateway: {port: 2003}, agents: {list: [{id: 'a'}]}}", "parts/one.json5")
    operator.write("{gateway: {port: 2004}, agents: {list: [{id: 'b'}]}}", "parts/two.json5")
    settings = operator.load(
        "{$include: ['parts/one.json5', './parts/two.json5'], agents: {list: [{id: 'c'}]}}"
    )
    assert settings.gateway.port == 2004
    assert [agent.id for agent in settings.agents] == ["a", "b", "c"]


def test_includes_are_relative_to_the_including_file(operator: Operator):
    operator.write("{$include: 'deeper/b.json5'}", "a/a.json5")
    operator.write("{gateway: {port: 2005}}", "a/deeper/b.json5")
    settings = operator.load("{$include: 'a/a.json5'}")
    assert settings.gateway.port == 2005
    assert operator.file.parent / "a" / "deeper" / "b.json5" in settings.sources


def test_a_mistake_in_an_included_file_is_reported_with_that_file(operator: Operator):
    included = operator.write("{\n  prt: 1}", "gw.json5")
    [problem] = operator.problems("{gateway: {$include: 'gw.json5'}}")
    assert problem.startswith(f"{included}:2:3: gateway.prt: ")


def test_an_absolute_path_may_lie_anywhere(operator: Operator):
    elsewhere = operator.write("{port: 2006}", operator.home / "elsewhere" / "gw.json5")
    assert operator.load(f"{{gateway: {{$include: '{elsewhere}'}}}}").gateway.port == 2006


@pytest.mark.parametrize("name", ["../outside.json5", "sub/../../outside.json5", "link.json5", "dir/x.json5"])
def test_nothing_outside_the_folder_unless_absolute(operator: Operator, name: str):
    outside = operator.write("{port: 1}", operator.home / "outside.json5")
    operator.write("{port: 1}", operator.home / "out" / "x.json5")
    (operator.file.parent / "sub").mkdir(parents=True)
    (operator.file.parent / "link.json5").symlink_to(outside)
    (operator.file.parent / "dir").symlink_to(operator.home / "out")
    [problem] = operator.problems(f"{{gateway: {{$include: '{name}'}}}}")
    assert "1:12: $include: is outside of" in problem


def test_a_circle_is_refused(operator: Operator):
    operator.write("{$include: 'b.json5'}", "a.json5")
    operator.write("{$include: ['a.json5']}", "b.json5")
    [problem] = operator.problems("{$include: 'a.json5'}")
    assert "files include each other in a circle: openclaw.json -> a.json5 -> b.json5 -> a.json5" in problem


def test_ten_deep_is_fine_and_eleven_is_not(operator: Operator):
    for level in range(1, 12):
        operator.write(f"{{$include: '{level + 1}.json5'}}", f"{level}.json5")
    operator.write("{gateway: {port: 2007}}", "10.json5")
    assert operator.load("{$include: '1.json5'}").gateway.port == 2007
    operator.write("{$include: '11.json5'}", "10.json5")
    operator.write("{gateway: {port: 2007}}", "11.json5")
    assert "more than 10 deep" in operator.problems()[0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{$include: 'no.json5'}", "cannot read"),
        ("{$include: 5}", "must be the name of a file or a list of names"),
        ("{$include: []}", "must be the name of a file or a list of names"),
        ("{$include: ['list.json5', {}]}", "must be the name of a file or a list of names"),
        ("{$include: 'list.json5', gateway: {}}", "the file must contain an object"),
        ("{$include: 'list.json5'}", "must be an object"),
        ("{$include: 'null.json5'}", "only `null`"),
        ("{$include: 'a\\u0000b'}", "$include"),
        ("{$include: 'dir'}", "not a regular file"),
        ("{$include: 'latin.json5'}", "not UTF-8"),
        ("{$include: 'big.json5'}", "larger than"),
        ("[]", "must be an object"),
    ],
)
def test_what_cannot_be_included_is_reported(operator: Operator, text: str, what: str):
    operator.write("[1]", "list.json5")
    operator.write("null", "null.json5")
    operator.write(" " * (2 * 1024 * 1024 + 1), "big.json5")
    (operator.file.parent / "dir").mkdir()
    (operator.file.parent / "latin.json5").write_bytes(b"{a: '\xe9'}")
    assert what in " ".join(operator.problems(text))


def test_several_broken_files_are_reported_together(operator: Operator):
    operator.write("{a: 1, a: 2}", "one.json5")
    operator.write("{a: }", "two.json5")
    assert len(operator.problems("{$include: ['one.json5', 'two.json5', 'three.json5']}")) == 3
