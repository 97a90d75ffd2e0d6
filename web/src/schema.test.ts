import { test } from "node:test";
import assert from "node:assert/strict";
import { check, nearest, openapiPath, type OpenApi } from "./schema.ts";

const apps: OpenApi = {
  components: {
    schemas: {
      Deployment: {
        type: "object",
        "x-kubernetes-group-version-kind": [{ group: "apps", version: "v1", kind: "Deployment" }],
        properties: { apiVersion: { type: "string" }, kind: { type: "string" }, metadata: { allOf: [{ $ref: "#/components/schemas/Meta" }] }, spec: { allOf: [{ $ref: "#/components/schemas/Spec" }] } },
      },
      Meta: { type: "object", properties: { name: { type: "string" }, labels: { type: "object", additionalProperties: { type: "string" } } } },
      Spec: {
        type: "object",
        required: ["selector"],
        properties: {
          replicas: { type: "integer" }, paused: { type: "boolean" }, selector: { type: "object" }, strategy: { type: "string", enum: ["Recreate", "RollingUpdate"] },
          maxSurge: { oneOf: [{ type: "integer" }, { type: "string" }] }, containers: { type: "array", items: { allOf: [{ $ref: "#/components/schemas/Meta" }] } },
        },
      },
    },
  },
};
const load = async (groupVersion: string) => (groupVersion === "apps/v1" ? apps : null);
const head = "apiVersion: apps/v1\nkind: Deployment\n";

test("points at what the schema forbids", async () => {
  for (const [yaml, expected] of [
    [`${head}metadata:\n  name: a\nspec:\n  selector: {}\n`, []],
    [`${head}spec:\n  selector: {}\n  replica: 2\n`, ["unknown field replica; did you mean replicas?"]],
    [`${head}spec:\n  selector: {}\n  replicas: two\n`, ["spec.replicas must be a whole number"]],
    [`${head}spec:\n  selector: {}\n  paused: "yes"\n`, ["spec.paused must be true or false"]],
    [`${head}spec:\n  replicas: 1\n`, ["spec.selector is required"]],
    [`${head}spec:\n  selector: {}\n  strategy: Rolling\n`, ["spec.strategy must be one of Recreate, RollingUpdate"]],
    [`${head}spec:\n  selector: {}\n  maxSurge: 25%\n`, []],
    [`${head}spec:\n  selector: {}\n  containers:\n  - nam: x\n`, ["unknown field nam; did you mean name?"]],
    [`${head}spec:\n  selector: {}\n  containers: x\n`, ["spec.containers must be a list"]],
    [`${head}metadata:\n  labels:\n    a: 1\n`, ["metadata.labels.a must be a string; put quotes around it"]],
    ["kind: Pod\n", ["apiVersion is missing"]],
    ["apiVersion: v9\nkind: Pod\n", ["this cluster does not serve v9"]],
    ["apiVersion: apps/v1\nkind: Deploymnt\n", ["this cluster does not know the kind Deploymnt in apps/v1"]],
    ["- a\n", ["a Kubernetes object is a mapping with apiVersion, kind and metadata"]],
    [`${head}---\n${head}spec: 3\n`, ["spec must be a mapping"]],
    ["", []],
  ] as const) {
    assert.deepEqual((await check(yaml, load)).map((problem) => problem.message), expected, yaml);
  }
});

test("syntax errors carry their place", async () => {
  const [first] = await check("a: [1\nb: 2\n", load);
  assert.ok(first && first.severity === "error" && first.to > first.from);
  assert.equal((await check("a: 1\na: 2\n", load))[0]?.message, "a is there twice");
});

test("bombs and monsters cost little", async () => {
  const bomb = `a: &a [x,x,x]\n${"bcdefghij".split("").map((name, index) => `${name}: &${name} [*${"abcdefghij"[index]},*${"abcdefghij"[index]}]`).join("\n")}\n`;
  assert.ok((await check(bomb, load)).length <= 50);
  for (const [yaml, expected] of [
    ["x".repeat(600_000), /too large/],
    ["[".repeat(100_000), /nested too deeply/],
    ["{a: ".repeat(20_000), /nested too deeply/],
    ["- ".repeat(30_000), /nested too deeply/],
    [Array.from({ length: 12_000 }, (_, index) => `k${index}: 1`).join("\n"), /apiVersion is missing/],
  ] as const) {
    const began = performance.now();
    assert.match((await check(yaml, load))[0]?.message ?? "", expected);
    assert.ok(performance.now() - began < 5000, `${yaml.slice(0, 20)} took ${performance.now() - began} ms`);
  }
});

test("paths and near names", () => {
  assert.deepEqual(["v1", "apps/v1", "a/b/c", "", "a b"].map(openapiPath), ["api/v1", "apis/apps/v1", null, null, null]);
  assert.equal(nearest("securtyContext", ["securityContext", "name"]), "securityContext");
  assert.equal(nearest("zzz", ["securityContext", "name"]), null);
});
