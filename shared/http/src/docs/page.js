// Renders /openapi.json. Everything is put into the page as text, never as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let api = null;

function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

// Text with `code` in it.
function prose(text) {
  return String(text || "").split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

function resolved(schema) {
  const name = nameOf(schema);
  return name ? api.components.schemas[name] || {} : schema || {};
}

function nameOf(schema) {
  return schema && schema.$ref ? schema.$ref.split("/").pop() : null;
}

// What a schema is, in a few words.
function kind(schema) {
  if (!schema) return "";
  const name = nameOf(schema);
  if (name) {
    const target = resolved(schema);
    return target.type && target.type !== "object" ? kind(target) : name;
  }
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return choices.map(kind).join(" or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (schema.type === "array") return "list of " + kind(schema.items);
  return schema.format ? schema.type + ", " + schema.format : schema.type || "anything";
}

// The named object inside a schema whose fields are worth unfolding.
function unfoldable(schema) {
  for (const part of [schema, schema.items, ...(schema.anyOf || []), ...(schema.oneOf || [])]) {
    if (!part) continue;
    if (part.items && part !== schema) {
      const inner = unfoldable(part);
      if (inner) return inner;
    }
    const target = resolved(part);
    if (target.properties || target.oneOf) return part;
  }
  return null;
}

function fields(schema, seen) {
  const target = resolved(schema);
  const path = nameOf(schema) ? [...seen, nameOf(schema)] : seen;
  const parts = [];
  if (target.description && nameOf(schema)) parts.push(el("p", {}, prose(target.description)));
  if (target.oneOf && !target.properties) {
    for (const choice of target.oneOf) {
      if (choice.$ref) parts.push(unfold(choice, path));
      else if (choice.properties) parts.push(fields(choice, path));
      else parts.push(el("p", {}, el("code", {}, kind(choice)), " ", prose(choice.description)));
    }
    return el("div", {}, parts);
  }
  const required = new Set(target.required || []);
  const rows = Object.entries(target.properties || {}).map(([name, field]) => {
    const own = resolved(field);
    const inner = unfoldable(field);
    const notes = [el("p", {}, prose(field.description || own.description || target.oneOf && target.description))];
    if (field.default !== undefined) notes.push(el("p", {}, "Default ", el("code", {}, JSON.stringify(field.default))));
    if (field.examples) notes.push(el("p", {}, "Such as ", field.examples.flatMap((example, index) => [index ? ", " : "", el("code", {}, String(example))])));
    if (inner && !path.includes(nameOf(inner))) notes.push(unfold(inner, path));
    const mark = required.has(name) ? el("span", { class: "must", title: "Always there, or required" }, " *") : null;
    return el("tr", {}, el("th", { scope: "row" }, el("code", {}, name), mark), el("td", { class: "kind" }, kind(field)), el("td", {}, notes));
  });
  if (rows.length) parts.push(el("table", { class: "rows" }, el("tbody", {}, rows)));
  return el("div", {}, parts);
}

// A schema that is unfolded when asked for.
function unfold(schema, seen, open) {
  const box = el("details", { class: "schema", open: open });
  box.append(el("summary", {}, nameOf(schema) || "fields"));
  const fill = () => {
    if (box.open && box.childElementCount === 1) box.append(el("div", { class: "body" }, fields(schema, seen)));
  };
  box.addEventListener("toggle", fill);
  if (open) fill();
  return box;
}

function example(schema, depth) {
  const target = resolved(schema);
  if (!target || depth > 6) return null;
  if (target.examples) return target.examples[0];
  if (target.default !== undefined) return target.default;
  if ("const" in target) return target.const;
  if (target.enum) return target.enum[0];
  const choices = target.anyOf || target.oneOf;
  if (choices) return choices.some((choice) => choice.type === "null") ? null : example(choices[0], depth + 1);
  if (target.type === "array") return [example(target.items, depth + 1)];
  if (target.type === "object") {
    const shown = Object.entries(target.properties || {}).map(([name, field]) => [name, example(field, depth + 1)]);
    return Object.fromEntries(shown);
  }
  if (target.format === "date-time") return "2026-01-02T02:30:00Z";
  if (target.format === "date") return "2026-01-02";
  if (target.format === "email") return "ada@example.com";
  if (target.type === "integer" || target.type === "number") return target.minimum || 0;
  if (target.type === "boolean") return false;
  return "…";
}

function curl(path, method, operation) {
  const url = path.replace(/\{(\w+)\}/g, (_, name) => {
    const found = operation.parameters.find((parameter) => parameter.name === name);
    return (found && found.example) || name;
  });
  const lines = ["curl " + (method === "get" ? "" : "-X " + method.toUpperCase() + " ") + location.origin + url];
  if (operation.security.length) lines.push("-H \"Authorization: Bearer $(cat token)\"");
  if (operation.parameters.some((parameter) => parameter.name === "Idempotency-Key")) lines.push("-H \"Idempotency-Key: $(uuidgen)\"");
  if (operation.requestBody) {
    const [media, taken] = Object.entries(operation.requestBody.content)[0];
    lines.push("-H 'Content-Type: " + media + "'", "-d '" + JSON.stringify(taken.example) + "'");
  }
  return lines.join(" \\\n  ");
}

function block(text) {
  return el("pre", { tabindex: "0" }, el("code", {}, text));
}

function copied(text) {
  const button = el("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return el("div", { class: "curl" }, block(text), button);
}

function shownExample(schema) {
  const box = el("details", { class: "schema" }, el("summary", {}, "example"));
  box.append(el("div", { class: "body" }, block(JSON.stringify(example(schema, 0), null, 2))));
  return box;
}

function parameters(operation) {
  if (!operation.parameters.length) return [];
  const rows = operation.parameters.map((parameter) => el("tr", {},
    el("th", { scope: "row" }, el("code", {}, parameter.name), parameter.required ? el("span", { class: "must", title: "Required" }, " *") : null),
    el("td", { class: "kind" }, parameter.in),
    el("td", {}, el("p", {}, prose(parameter.description)), parameter.example ? el("p", {}, "Such as ", el("code", {}, parameter.example)) : null)));
  return [el("h3", {}, "Parameters"), el("table", { class: "rows" }, el("tbody", {}, rows))];
}

function answers(operation) {
  const parts = [el("h3", {}, "Answers")];
  const problems = [];
  for (const [status, answer] of Object.entries(operation.responses)) {
    const content = Object.entries(answer.content || {});
    if (content.some(([media]) => media === "application/problem+json")) {
      problems.push(el("tr", {}, el("th", { scope: "row" }, el("code", {}, status)), el("td", {}, prose(answer.description))));
      continue;
    }
    parts.push(el("p", {}, el("code", {}, status), " ", prose(answer.description)));
    for (const [media, given] of content) {
      if (nameOf(given.schema)) parts.push(unfold(given.schema, []), shownExample(given.schema));
      else parts.push(el("p", { class: "none" }, media));
    }
  }
  if (problems.length) {
    const box = el("details", { class: "problems" }, el("summary", {}, "Problems (" + problems.length + ")"));
    box.append(el("table", { class: "rows" }, el("tbody", {}, problems)), unfold({ $ref: "#/components/schemas/Problem" }, []));
    parts.push(box);
  }
  return parts;
}

function inside(path, method, operation) {
  const parts = [];
  if (operation.description) parts.push(el("p", {}, prose(operation.description)));
  const scopes = operation["x-scopes"];
  const list = scopes.flatMap((scope, index) => [index ? ", " : "", el("code", {}, scope)]);
  parts.push(el("p", { class: "scopes" }, scopes.length ? ["Scopes: ", list] : "No token needed."));
  parts.push(el("h3", {}, "Try it"), copied(curl(path, method, operation)));
  parts.push(...parameters(operation));
  if (operation.requestBody) {
    const [media, taken] = Object.entries(operation.requestBody.content)[0];
    parts.push(el("h3", {}, "Body"), el("p", { class: "none" }, media + (operation.requestBody.required ? "" : ", may be left out")));
    parts.push(unfold(taken.schema, []), block(JSON.stringify(taken.example, null, 2)));
  }
  parts.push(...answers(operation));
  return el("div", { class: "inside" }, parts);
}

function entry(path, method, operation) {
  const box = el("details", {},
    el("summary", {}, el("span", { class: "verb " + method }, method.toUpperCase()), el("code", {}, path), el("span", { class: "says" }, operation.summary)));
  box.addEventListener("toggle", () => {
    if (box.open && box.childElementCount === 1) box.append(inside(path, method, operation));
  });
  return el("article", { id: operation.operationId, "data-text": (method + " " + path + " " + operation.summary).toLowerCase() }, box);
}

function render() {
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").replaceChildren(...prose(api.info.description));
  const main = document.getElementById("main");
  const contents = document.getElementById("contents");
  document.getElementById("state").remove();
  for (const tag of api.tags) {
    const section = el("section", {}, el("h2", {}, tag.name), el("p", {}, prose(tag.description)));
    const list = el("ul", {});
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((method) => item[method] && item[method].tags.includes(tag.name))) {
        const operation = item[method];
        section.append(entry(path, method, operation));
        list.append(el("li", { "data-for": operation.operationId },
          el("a", { href: "#" + operation.operationId }, el("span", { class: "verb " + method }, method.toUpperCase()), el("span", {}, operation.summary))));
      }
    }
    main.append(section);
    contents.append(el("section", {}, el("h2", {}, tag.name), list));
  }
}

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const article of document.querySelectorAll("article")) {
    article.hidden = !words.every((word) => article.dataset.text.includes(word));
    document.querySelector("[data-for=\"" + article.id + "\"]").hidden = article.hidden;
  }
  for (const section of document.querySelectorAll("main > section, #contents > section")) {
    section.hidden = !section.querySelector("article:not([hidden]), li:not([hidden])");
  }
}

function openNamed() {
  const article = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const box = article && article.querySelector(":scope > details");
  if (box) {
    box.open = true;
    article.scrollIntoView();
  }
}

async function start() {
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error("the server answered " + answer.status);
    api = await answer.json();
  } catch (error) {
    document.getElementById("state").textContent = "The description could not be read: " + error.message + ". Reload to try again.";
    return;
  }
  render();
  document.getElementById("search").addEventListener("input", (event) => search(event.target.value));
  window.addEventListener("hashchange", openNamed);
  openNamed();
}

start();
