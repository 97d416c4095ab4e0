"use strict";

// Everything is put in as text, never as HTML: names and docstrings come from models.
let key = "";

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function headers() {
  return key ? { authorization: `Bearer ${key}` } : {};
}

function resolved(schema, all, depth = 0) {
  if (!schema || typeof schema !== "object" || depth > 12) return schema;
  if (Array.isArray(schema)) return schema.map((each) => resolved(each, all, depth + 1));
  if (typeof schema.$ref === "string") return resolved(all[schema.$ref.split("/").pop()], all, depth + 1);
  return Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, resolved(value, all, depth + 1)]));
}

function example(schema, depth = 0) {
  if (!schema || depth > 6) return null;
  if ("default" in schema) return schema.default;
  if (schema.examples && schema.examples.length) return schema.examples[0];
  if (schema.enum) return schema.enum[0];
  if ("const" in schema) return schema.const;
  const choice = (schema.anyOf || schema.oneOf || schema.allOf || [])[0];
  if (choice) return example(choice, depth + 1);
  if (schema.type === "object" || schema.properties) {
    const wanted = schema.required || Object.keys(schema.properties || {});
    return Object.fromEntries(wanted.map((name) => [name, example((schema.properties || {})[name], depth + 1)]));
  }
  if (schema.type === "array") {
    const count = Math.min(schema.minItems || 1, 16);
    if (schema.prefixItems) return schema.prefixItems.map((each) => example(each, depth + 1));
    return Array.from({ length: count }, () => example(schema.items, depth + 1));
  }
  return { integer: 0, number: 0, string: "", boolean: false }[schema.type] ?? null;
}

async function shown(response, output) {
  output.textContent = `${response.status} ${response.statusText}\n`;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    output.append(value);
  }
}

function trial(address, body) {
  const text = element("textarea");
  text.value = JSON.stringify(body, null, 1);
  text.setAttribute("aria-label", `Body for ${address}`);
  text.spellcheck = false;
  const button = element("button", "Send");
  const output = element("pre");
  output.hidden = true;
  output.tabIndex = 0;
  button.addEventListener("click", async () => {
    output.hidden = false;
    output.textContent = "...";
    try {
      await shown(await fetch(address, {
        method: "POST", body: text.value, headers: { "content-type": "application/json", ...headers() },
      }), output);
    } catch (error) {
      output.textContent = String(error);
    }
  });
  return element("details", "", element("summary", "Try"), text, button, output);
}

function operation(path, verb, found, all) {
  const title = element("h3");
  title.append(element("span", verb.toUpperCase()), " ", element("code", path));
  title.firstChild.className = "verb";
  const part = element("section", "", title, element("p", found.summary));
  if (found.description) {
    part.append(element("p", found.description));
    part.lastChild.className = "doc";
  }
  const content = found.requestBody && found.requestBody.content["application/json"].schema;
  if (!content) return part;
  const schema = resolved(content, all);
  const alone = (schema.oneOf || [schema])[0];
  const detail = element("details", "", element("summary", "Schema of the body"), element("pre", JSON.stringify(alone, null, 1)));
  part.append(detail, trial(path.slice(1), example(alone)));
  const answer = found.responses["200"];
  part.append(element("p", answer.description));
  const result = (answer.content["application/json"] || {}).schema;
  if (result) {
    const first = (resolved(result, all).oneOf || [resolved(result, all)])[0];
    part.append(element("details", "", element("summary", "Schema of the answer"), element("pre", JSON.stringify(first, null, 1))));
  }
  return part;
}

async function load() {
  const place = document.getElementById("models");
  const response = await fetch("openapi.json", { headers: headers() });
  document.getElementById("entry").hidden = response.status !== 401 && !key;
  if (!response.ok) {
    place.replaceChildren(element("p", response.status === 401 ? "An API key is needed." : `Answer ${response.status}`));
    return;
  }
  const description = await response.json();
  document.getElementById("about").textContent = description.info.description;
  const groups = new Map();
  for (const [path, verbs] of Object.entries(description.paths)) {
    for (const [verb, found] of Object.entries(verbs)) {
      const name = found.tags[0];
      if (!groups.has(name)) groups.set(name, element("section", "", element("h2", name)));
      groups.get(name).append(operation(path, verb, found, description.components.schemas));
    }
  }
  place.replaceChildren(...groups.values());
}

document.getElementById("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  key = document.getElementById("key").value;
  load();
});
load();
