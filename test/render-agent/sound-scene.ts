/** A scene file with one box and these sounds. */
export function soundScene(sounds: readonly object[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      format: "perigee-scene/1",
      sky: [0, 0, 0],
      sun: { towards: [0, 1, 0], colour: [1, 1, 1] },
      ambient: { above: [1, 1, 1], below: [1, 1, 1] },
      fogPerMetre: 0,
      meshes: { box: { shape: "box" } },
      instances: [{ mesh: "box", position: [0, 0, 0], scale: [1, 1, 1], colour: [1, 1, 1] }],
      sounds,
    }),
  );
}
