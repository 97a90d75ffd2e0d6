// Checks YAML against the cluster's own OpenAPI v3 as the learner types. The API server has the last word; this only points.

import { isAlias, isMap, isScalar, isSeq, parseAllDocuments, type Document, type Node, type Pair, type ParsedNode } from "yaml";

export interface Problem {
  from: number;
  to: number;
  severity: "error" | "warning";
  message: string;
}

/** The parts of an OpenAPI v3 schema that Kubernetes uses. */
export interface Schema {
  $ref?: string;
  allOf?: Schema[];
  oneOf?: Schema[];
  type?: string;
  format?: string;
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  description?: string;
  "x-kubernetes-group-version-kind"?: { group: string; version: string; kind: string }[];
  "x-kubernetes-int-or-string"?: boolean;
  "x-kubernetes-preserve-unknown-fields"?: boolean;
}

export interface OpenApi {
  components?: { schemas?: Record<string, Schema> };
}

/** Gives the document of a group version (`v1`, `apps/v1`), `null` where the cluster has none. */
export type Loader = (groupVersion: string) => Promise<OpenApi | null>;

/** `v1` lies at `api/v1`, `apps/v1` at `apis/apps/v1`. */
export function openapiPath(groupVersion: string): string | null {
  if (!/^[a-z0-9.-]+(\/[a-z0-9.-]+)?$/i.test(groupVersion)) return null;
  return groupVersion.includes("/") ? `apis/${groupVersion}` : `api/${groupVersion}`;
}

const MAX_PROBLEMS = 50;
const MAX_LENGTH = 128 * 1024;
const MAX_DEPTH = 64;

export async function check(text: string, load: Loader): Promise<Problem[]> {
  const unchecked = text.length > MAX_LENGTH ? "too large" : flowDepth(text) > MAX_DEPTH ? "nested too deeply" : null;
  if (unchecked) return [{ from: 0, to: 1, severity: "warning", message: `This file is ${unchecked} to be checked while you type.` }];
  const problems: Problem[] = [];
  // The parser's own search for keys that are there twice compares each with each.
  for (const document of parseAllDocuments(text, { uniqueKeys: false, stringKeys: true })) {
    if (!("errors" in document)) break;
    for (const error of document.errors) {
      problems.push({ from: error.pos[0], to: Math.max(error.pos[1], error.pos[0] + 1), severity: "error", message: firstLine(error.message) });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    duplicates(document.contents as Node, problems, 0);
    await checkObject(document as Document.Parsed, load, problems);
    if (problems.length >= MAX_PROBLEMS) break;
  }
  return problems.slice(0, MAX_PROBLEMS);
}

/** How deep brackets and braces lie in each other; those in strings count, too, which does no harm here. */
function flowDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const letter of text) {
    if (letter === "[" || letter === "{") deepest = Math.max(deepest, ++depth);
    else if (letter === "]" || letter === "}") depth = Math.max(0, depth - 1);
  }
  return deepest;
}

function duplicates(node: Node | null, problems: Problem[], depth: number): void {
  if (depth > MAX_DEPTH || problems.length >= MAX_PROBLEMS) return;
  if (isSeq(node)) for (const item of node.items) duplicates(item as Node, problems, depth + 1);
  if (!isMap(node)) return;
  const names = new Set<unknown>();
  for (const { key, value } of node.items as Pair<Node, Node | null>[]) {
    if (isScalar(key) && names.size === names.add(key.value).size) problems.push(problem(key as unknown as Node, "error", `${String(key.value)} is there twice`));
    duplicates(value, problems, depth + 1);
  }
}

function firstLine(text: string): string {
  if (text.includes("call stack")) return "this is nested too deeply";
  return (text.split("\n")[0] ?? text).replace(/ at line \d+, column \d+:?$/, "");
}

async function checkObject(document: Document.Parsed, load: Loader, problems: Problem[]): Promise<void> {
  const root = document.contents;
  if (!isMap(root)) {
    if (root) problems.push(problem(root, "error", "a Kubernetes object is a mapping with apiVersion, kind and metadata"));
    return;
  }
  const apiVersion: unknown = root.get("apiVersion");
  const kind: unknown = root.get("kind");
  for (const [name, value] of [["apiVersion", apiVersion], ["kind", kind]] as const) {
    if (typeof value !== "string" || value === "") problems.push(problem(root, "error", `${name} is missing`, 1));
  }
  if (typeof apiVersion !== "string" || typeof kind !== "string" || openapiPath(apiVersion) === null) return;
  const openapi = await load(apiVersion);
  const schemas = openapi?.components?.schemas;
  const at = root.get("apiVersion", true) as Node | undefined;
  if (!schemas) {
    problems.push(problem(at ?? root, "warning", `this cluster does not serve ${apiVersion}`));
    return;
  }
  const [group, version] = apiVersion.includes("/") ? (apiVersion.split("/") as [string, string]) : ["", apiVersion];
  const schema = Object.values(schemas).find((schema) =>
    schema["x-kubernetes-group-version-kind"]?.some((gvk) => gvk.group === group && gvk.version === version && gvk.kind === kind));
  if (!schema) {
    problems.push(problem((root.get("kind", true) as Node | undefined) ?? root, "warning", `this cluster does not know the kind ${kind} in ${apiVersion}`));
    return;
  }
  walk(root, schema, "", schemas, problems, 0);
}

function resolve(schema: Schema, schemas: Record<string, Schema>): Schema {
  let current = schema;
  for (let hops = 0; hops < 8; hops++) {
    const reference = current.$ref ?? (current.allOf?.length === 1 ? current.allOf[0]?.$ref : undefined);
    if (!reference) return current;
    const target = schemas[reference.replace("#/components/schemas/", "")];
    if (!target) return {};
    current = target;
  }
  return {};
}

function walk(node: Node, unresolved: Schema, path: string, schemas: Record<string, Schema>, problems: Problem[], depth: number): void {
  if (depth > 40 || problems.length >= MAX_PROBLEMS || isAlias(node)) return;
  const schema = resolve(unresolved, schemas);
  const where = path === "" ? "the object" : path;
  if (isScalar(node) && node.value === null) return;
  if (schema["x-kubernetes-int-or-string"] || schema.format === "int-or-string" || schema.oneOf) {
    if (!isScalar(node)) problems.push(problem(node, "error", `${where} must be a number or a string`));
    return;
  }
  switch (schema.type ?? (schema.properties ? "object" : undefined)) {
    case "object":
      if (!isMap(node)) problems.push(problem(node, "error", `${where} must be a mapping`));
      else walkMap(node.items as Pair<Node, Node | null>[], node, schema, path, schemas, problems, depth);
      return;
    case "array":
      if (!isSeq(node)) problems.push(problem(node, "error", `${where} must be a list`));
      else for (const [index, item] of node.items.entries()) if (item) walk(item as Node, schema.items ?? {}, `${path}[${index}]`, schemas, problems, depth + 1);
      return;
    case "string":
      if (!isScalar(node)) problems.push(problem(node, "error", `${where} must be a string`));
      else if (typeof node.value !== "string") problems.push(problem(node, "error", `${where} must be a string; put quotes around it`));
      else oneOf(node, schema, where, problems);
      return;
    case "integer":
      if (!isScalar(node) || typeof node.value !== "number" || !Number.isInteger(node.value)) problems.push(problem(node, "error", `${where} must be a whole number`));
      return;
    case "number":
      if (!isScalar(node) || typeof node.value !== "number") problems.push(problem(node, "error", `${where} must be a number`));
      return;
    case "boolean":
      if (!isScalar(node) || typeof node.value !== "boolean") problems.push(problem(node, "error", `${where} must be true or false`));
      return;
  }
}

function oneOf(node: Node, schema: Schema, where: string, problems: Problem[]): void {
  const value = isScalar(node) ? node.value : undefined;
  if (schema.enum && !schema.enum.includes(value)) problems.push(problem(node, "error", `${where} must be one of ${schema.enum.map(String).join(", ")}`));
}

function walkMap(items: Pair<Node, Node | null>[], node: Node, schema: Schema, path: string, schemas: Record<string, Schema>, problems: Problem[], depth: number): void {
  const names = new Set<string>();
  for (const { key, value } of items) {
    if (!isScalar(key) || typeof key.value !== "string") continue;
    const name = key.value;
    names.add(name);
    const below = schema.properties?.[name] ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined);
    if (below) {
      if (value) walk(value, below, path === "" ? name : `${path}.${name}`, schemas, problems, depth + 1);
    } else if (schema.properties && !schema.additionalProperties && !schema["x-kubernetes-preserve-unknown-fields"]) {
      const near = nearest(name, Object.keys(schema.properties));
      problems.push(problem(key as unknown as Node, "error", `unknown field ${name}${near ? `; did you mean ${near}?` : ""}`));
    }
  }
  for (const name of schema.required ?? []) {
    if (!names.has(name)) problems.push(problem(node, "error", `${path === "" ? name : `${path}.${name}`} is required`, 1));
  }
}

/** The known name that differs by at most two letters, if there is one. */
export function nearest(name: string, known: string[]): string | null {
  let best: string | null = null;
  let least = 3;
  for (const candidate of known) {
    const far = distance(name.toLowerCase(), candidate.toLowerCase(), least);
    if (far < least) [best, least] = [candidate, far];
  }
  return best;
}

function distance(one: string, two: string, limit: number): number {
  if (Math.abs(one.length - two.length) >= limit) return limit;
  let row = Array.from({ length: two.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= two.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (one[i - 1] === two[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[two.length] ?? limit;
}

function problem(node: Node | ParsedNode, severity: "error" | "warning", message: string, length?: number): Problem {
  const [from, to] = node.range ?? [0, 1, 1];
  return { from, to: Math.max(from + 1, length === undefined ? to : from + length), severity, message };
}
