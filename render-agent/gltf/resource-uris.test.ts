/** Buffers and images come from the scene's own bundle or from the file itself, and from nowhere else. */
import t from "tap";
import { GlbBuilder } from "#deploy/one-machine/sample/scene/glb-builder.ts";
import { isFailure } from "#domain/failure.ts";
import { openGltfFile } from "./gltf-file.ts";
import { readGltfScene } from "./gltf-scene.ts";
import { packGlb } from "./pack-glb.ts";
import { bundlePathsOf, resourceBytesOf } from "./resource-uris.ts";

/** A triangle in a .gltf whose buffer is at `uri`. */
function triangleAt(uri: string) {
  const glb = new GlbBuilder();
  const primitive = glb.primitive({ positions: [0, 0, 0, 1, 0, 0, 0, 1, 0] }, undefined);
  const json = glb.json({ scenes: [{ nodes: [0] }], nodes: [{ mesh: 0 }], meshes: [{ primitives: [primitive] }] });
  const binary = glb.binary();
  const buffers = [{ byteLength: binary.byteLength, uri }];
  return { file: openGltfFile(Buffer.from(JSON.stringify({ ...json, buffers }))), binary };
}

const pathsOf = (uri: string) => [...bundlePathsOf(triangleAt(uri).file.json, "/scenes/a.gltf").values()];

t.test("a URI is a path below the scene's folder", async (t) => {
  t.same(pathsOf("a.bin"), ["/scenes/a.bin"]);
  t.same(pathsOf("deep/er/b%20c.bin"), ["/scenes/deep/er/b c.bin"]);
  t.same(pathsOf("data:application/octet-stream;base64,AAAA"), [], "what is inline is no file");
});

t.test("what leads elsewhere is refused, however it is written", async (t) => {
  const uris = [
    "../a.bin",
    "b/../../a.bin",
    "%2e%2e/a.bin",
    "/etc/passwd",
    "//host/a.bin",
    "./a.bin",
    "b//a.bin",
    "http://127.0.0.1/a.bin",
    "file:///etc/passwd",
    "C:\\a.bin",
    "b\\..\\a.bin",
    "a.bin?x=1",
    "a.bin#x",
    "a%00.bin",
    "%zz.bin",
  ];
  for (const uri of uris) {
    t.throws(
      () => pathsOf(uri),
      { code: "scene-invalid", message: /^scene: buffers\[0\]\.uri must be a relative path/ },
      uri,
    );
  }
  t.throws(() => pathsOf("a".repeat(2000)), { code: "scene-invalid", message: /at most 1024 characters, got 2000/ });
});

t.test("inline bytes are those that were written, or refused", async (t) => {
  const { binary } = triangleAt("x");
  const inline = `data:application/gltf-buffer;base64,${Buffer.from(binary).toString("base64")}`;
  const { file } = triangleAt(inline);
  t.same(Buffer.from(resourceBytesOf(file, new Map()).get(inline) ?? []), Buffer.from(binary));
  for (const wrong of [
    "data:,hello",
    "data:;base64,AA?A",
    "data:;base64,AA AA",
    "data:text/html;charset=x;y;base64,AAAA",
  ]) {
    t.throws(
      () => resourceBytesOf(triangleAt(wrong).file, new Map()),
      { code: "scene-invalid", message: /base64/ },
      wrong,
    );
  }
});

t.test("a .gltf with its files in one .glb is the same scene", async (t) => {
  const { file, binary } = triangleAt("a.bin");
  t.throws(() => packGlb(file, new Map()), { code: "scene-invalid", message: /must be a file of the scene's bundle/ });
  const files = new Map([["a.bin", binary]]);
  const packed = readGltfScene(openGltfFile(packGlb(file, files)), new Map());
  t.same(packed, readGltfScene(file, files));
});

t.test("all files together are bounded", async (t) => {
  const { file } = triangleAt("a.bin");
  try {
    resourceBytesOf(file, new Map([["a.bin", new Uint8Array(65 * 1024 * 1024)]]));
    t.fail("it was taken");
  } catch (error) {
    t.ok(isFailure(error, "scene-invalid"));
    t.match(error, { message: /makes the scene larger than 67108864 bytes/ });
  }
});
