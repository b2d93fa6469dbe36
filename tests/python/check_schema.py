"""Checks lines of JSON against the published schemas: check_schema.py SCHEMAS EVENTS CLOUDEVENTS."""

import json
import os
import sys

import jsonschema
import referencing


def load(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def main(folder, events, cloudevents):
    schemas = {name: load(folder, name) for name in ("event.json", "cloudevent.json")}
    registry = referencing.Registry().with_resources(
        (name, referencing.Resource.from_contents(schema)) for name, schema in schemas.items()
    )
    valid, kinds = 0, set()
    for name, path in (("event.json", events), ("cloudevent.json", cloudevents)):
        jsonschema.Draft202012Validator.check_schema(schemas[name])
        validator = jsonschema.Draft202012Validator(schemas[name], registry=registry)
        with open(path, encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                validator.validate(line)
                valid += 1
                event = line if name == "event.json" else line["data"]
                kinds.add(event["kind"])
        event["data"]["unheard_of"] = 1
        assert not validator.is_valid(line), "a check that cannot fail"
    print(json.dumps({"valid": valid, "kinds": sorted(kinds)}))


main(*sys.argv[1:])
