/** Where a test writes. */
import { rm } from "node:fs/promises";
import type { Test } from "tap";

/**
 * A folder of this test's own, with `content` in it, there until all that the test started has stopped: tap's would be
 * removed before the teardowns run, while programs still write to it. Ask for it before what runs in it.
 */
export function testFolder(t: Test, content: Parameters<Test["testdir"]>[0] = {}): string {
  t.saveFixture = true;
  const folder = t.testdir(content);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
