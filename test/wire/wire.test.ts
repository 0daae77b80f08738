/** What released versions put on the wire and on disk is read by this one, as what it was. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import t from "tap";
import { decodeControl } from "#contracts/media/control.ts";
import { FrameAssembler } from "#contracts/media/fragments.ts";
import { decodeFrame } from "#contracts/media/frame.ts";
import { decodePose } from "#contracts/media/pose.ts";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { parseClaims, TOKEN_TYPES, type TokenKind } from "#contracts/tokens/claims.ts";
import { KINDS } from "#domain/resource.ts";
import { parsePemChain } from "#platform/identity/certificates.ts";
import { importPublicKey, keyIdOf } from "#platform/identity/signatures.ts";
import { verifyToken } from "#platform/identity/tokens.ts";
import { readDatabases } from "./databases.ts";
import { sampleMedia } from "./sample-media.ts";
import { MESSAGES, sampleMessages } from "./sample-messages.ts";

const FIXTURES = join(import.meta.dirname, "../../contracts/fixtures");
const versions = readdirSync(FIXTURES);
const read = (version: string, name: string) => JSON.parse(readFileSync(join(FIXTURES, version, name), "utf8"));
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

/** Those that the newest recorded version did not have. */
const MESSAGES_NOT_RECORDED_YET: readonly string[] = [
  "NodeMessage.relayed",
  "OriginMessage.relayed",
  "RelayedNodeMessage.message",
  "RelayedNodeMessage.gone",
  "RelayedEnd",
  "RelayedOriginMessage",
];

t.test("every message, each case of each oneof, is read as it was sent", async (t) => {
  const recorded = new Set<string>();
  for (const version of versions) {
    const messages: { name: string; base64: string; json: unknown }[] = read(version, "messages.json");
    for (const { name, base64, json } of messages) {
      const schema = MESSAGES.find((candidate) => candidate.name === name.split(".")[0]);
      if (schema === undefined) t.fail(`${version}: ${name} is no message any more`);
      else t.strictSame(toJson(schema, fromBinary(schema, bytesOf(base64))), json, `${version}: ${name}`);
      recorded.add(name);
    }
  }
  const missing = sampleMessages().filter(({ name }) => !recorded.has(name));
  t.same(
    missing.map(({ name }) => name),
    MESSAGES_NOT_RECORDED_YET,
    "recorded: node test/wire/record.ts VERSION",
  );
});

t.test("every kind of token verifies and has its claims", async (t) => {
  for (const version of versions) {
    const { nowMs, authorityPem, tokenKeySpki, tokens } = read(version, "tokens.json");
    const key = importPublicKey(Buffer.from(tokenKeySpki, "base64"));
    const keys = { kind: "keys" as const, keys: new Map([[keyIdOf(key), key]]) };
    const authorities = parsePemChain(authorityPem);
    const kinds = Object.keys(TOKEN_TYPES);
    t.same(tokens.map(({ kind }: { kind: string }) => kind).sort(), kinds.sort(), version);
    for (const { kind, role, token, claims } of tokens) {
      const trust = role === undefined ? keys : { kind: "chain" as const, authorities, roles: [role] };
      const known: TokenKind = kind;
      const verified = await verifyToken(token, TOKEN_TYPES[known], trust, nowMs);
      t.strictSame(parseClaims(known, verified.claims), claims, `${version}: ${kind}`);
      await t.rejects(verifyToken(token, TOKEN_TYPES[known], trust, nowMs + 86_400_000), `${version}: ${kind} expires`);
    }
  }
});

/** Kinds that the newest recorded version did not have. */
const NOT_RECORDED_YET: ReadonlySet<string> = new Set([
  "SiteCertificate",
  "AcmeChallenge",
  "Tombstone",
  "OriginEndpoint",
  "RolloutPolicy",
  "Rollout",
]);

t.test("stored resources of every kind are read", async (t) => {
  for (const version of versions) {
    const resources: { kind: string }[] = read(version, "resources.json");
    for (const resource of resources) {
      t.strictSame(parseStoredResource(JSON.stringify(resource)), resource, `${version}: ${resource.kind}`);
    }
    const kinds = new Set(resources.map(({ kind }) => kind));
    const recorded = KINDS.filter((kind) => !NOT_RECORDED_YET.has(kind));
    if (version === versions.at(-1)) t.same([...kinds].sort(), recorded.sort(), "every kind is recorded");
  }
});

t.test("poses, frames, their fragments and control messages are read", async (t) => {
  // What is not recorded yet is read as this version writes it.
  const now = JSON.parse(JSON.stringify(sampleMedia()));
  const media = [
    ...versions.map((version) => ({ version, ...read(version, "media.json") })),
    { version: "now", ...now },
  ];
  for (const { version, pose, posesOfHeadsets, frame, frameWithDepth, controls } of media) {
    for (const { base64, value } of posesOfHeadsets ?? []) {
      t.strictSame(decodePose(bytesOf(base64)), value, `${version}: a headset's`);
    }
    if (frameWithDepth !== undefined) {
      t.strictSame(decodePose(bytesOf(frameWithDepth.pose.base64)), frameWithDepth.pose.value, `${version}: asks`);
      const { depth = new Uint8Array() } = decodeFrame(bytesOf(frameWithDepth.base64));
      t.ok(Buffer.from(depth).equals(bytesOf(frameWithDepth.depth)), `${version}: depth`);
    }
    t.strictSame(decodePose(bytesOf(pose.base64)), pose.value, version);
    const { header, accessUnit } = decodeFrame(bytesOf(frame.base64));
    t.strictSame(header, frame.header, version);
    t.ok(Buffer.from(accessUnit).equals(bytesOf(frame.accessUnit)), version);
    const assembler = new FrameAssembler();
    const frames = frame.fragments.flatMap((text: string) => assembler.add(bytesOf(text)) ?? []);
    t.ok(Buffer.from(frames[0]?.bytes ?? "").equals(bytesOf(frame.base64)), `${version}: put together`);
    for (const { text, value } of controls) t.strictSame(decodeControl(text), value, `${version}: ${text}`);
  }
});

t.test("databases are opened, brought to this schema, and hold what was stored", async (t) => {
  for (const version of versions) {
    const now = JSON.parse(JSON.stringify(await readDatabases(join(FIXTURES, version, "databases"))));
    t.strictSame(now, read(version, "databases.json"), version);
  }
});
