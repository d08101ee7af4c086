"""Renders every template of a folder with Python's jinja2: templates.py FOLDER > expected.json

Each with several conversations. `result` is null where the template fails, as some do on purpose.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/data/templates"))
import environment  # noqa: E402

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather at a place.", "parameters": {
        "type": "object", "properties": {
            "location": {"type": "string", "description": "Where; \"Köln\" or <so>"},
            "days": {"type": "integer", "minimum": 1, "default": 1},
            "units": {"type": "string", "enum": ["C", "F"]},
            "parts": {"type": "array", "items": {"type": "string"}, "description": "Which parts"},
        }, "required": ["location"]}}},
    {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}},
]
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": " What's the weather in Köln? \n"}
ANSWER = {"role": "assistant", "content": "It rains."}


def call(arguments, **more):
    return {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}], **more}


RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"temperature\": 12.5}"}
ARGUMENTS = {"location": "Köln", "days": 2, "parts": ["a", "b"]}
CONVERSATIONS = {
    "user": {"messages": [USER]},
    "system": {"messages": [SYSTEM, USER]},
    "turns": {"messages": [SYSTEM, USER, ANSWER, {"role": "user", "content": "And tomorrow?"}]},
    "answered": {"messages": [USER, ANSWER]},
    "tools": {"messages": [SYSTEM, USER], "tools": TOOLS},
    "called": {"messages": [SYSTEM, USER, call(ARGUMENTS), RESULT], "tools": TOOLS},
    "called-text": {"messages": [USER, call(json.dumps(ARGUMENTS)), RESULT, ANSWER, USER], "tools": TOOLS},
    "called-none": {"messages": [USER, {**call(ARGUMENTS), "content": None}, RESULT, ANSWER], "tools": TOOLS},
    "thinking": {"messages": [USER, {**ANSWER, "reasoning_content": "Hm.", "thinking": "Hm."}, USER], "enable_thinking": False},
    "thought": {"messages": [USER, {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nIt rains."}, USER], "enable_thinking": True},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]}]},
    "odd": {"messages": [{"role": "assistant", "content": "First."}, USER, USER]},
    "documents": {"messages": [USER], "documents": [{"title": "T", "text": "Of rain."}]},
    "empty": {"messages": []},
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def main():
    folder = pathlib.Path(sys.argv[1])
    cases = []
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        for name, conversation in CONVERSATIONS.items():
            for prompt in (False, True):
                variables = {"tools": None, "documents": None, **conversation, "add_generation_prompt": prompt, **TOKENS}
                try:
                    result = environment.render(source, json.loads(json.dumps(variables)))
                except Exception:  # noqa: BLE001 - any failure counts
                    result = None
                cases.append({"template": path.name, "name": f"{name}{'+' if prompt else ''}", "variables": variables, "result": result})
    json.dump(cases, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
