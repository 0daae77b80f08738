/** The examples that Amazon publishes of signed requests ("Signature calculations", Amazon S3 API reference). */
import { createHash } from "node:crypto";
import t from "tap";
import { signRequest, type UnsignedRequest } from "./signature.ts";

const CREDENTIALS = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  region: "us-east-1",
};
const AT_MS = Date.UTC(2013, 4, 24);
const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");
const host = "examplebucket.s3.amazonaws.com";
const read = { method: "GET", path: "/", query: {}, fields: { host }, contentDigest: digestOf("") };

const EXAMPLES: readonly (readonly [what: string, request: UnsignedRequest, signature: string])[] = [
  [
    "a range of an object",
    { ...read, path: "/test.txt", fields: { host, range: "bytes=0-9" } },
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
  ],
  [
    "an object put, its path encoded",
    {
      ...{ method: "PUT", path: "/test$file.text", query: {}, contentDigest: digestOf("Welcome to Amazon S3.") },
      fields: { host, date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
    },
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
  ],
  [
    "a query without a value",
    { ...read, query: { lifecycle: "" } },
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
  ],
  [
    "a list",
    { ...read, query: { prefix: "J", "max-keys": "2" } },
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
  ],
];

t.test("published requests get their published signatures", async (t) => {
  for (const [what, request, signature] of EXAMPLES)
    t.match(signRequest(request, CREDENTIALS, AT_MS), { authorization: new RegExp(`Signature=${signature}$`) }, what);
});
