/** Says clearly what is needed where Node is too old; runs on every Node since 12, so its syntax is old. */
"use strict";

var required = [24, 15];
var found = process.versions.node.split(".").map(Number);

if (found[0] < required[0] || (found[0] === required[0] && found[1] < required[1])) {
  process.stderr.write(
    "Perigee needs Node " + required.join(".") + " or later; this is Node " + process.versions.node + " (" + process.execPath + ").\n" +
    "On Linux x64 `npm ci` brings the right one into node_modules/.bin, and npm scripts find it first:\n" +
    "run `npm ci` in the repository, then `npm start`. Elsewhere install Node 24 LTS and put it first in PATH.\n"
  );
  process.exit(1);
}
