/** Prints knip's issues one to a line, and how many files it read: its own reporters do not say. */
export default function report({ issues, counters, configurationHints }) {
  for (const [type, byFile] of Object.entries(issues)) {
    if (type === "_files") continue;
    for (const [path, symbols] of Object.entries(byFile)) {
      for (const symbol of Object.keys(symbols)) console.log(`${type}: ${path}: ${symbol}`);
    }
  }
  for (const hint of configurationHints ?? []) console.log(`hint: ${hint.type}: ${hint.identifier}`);
  console.log(`read ${counters.processed} files`);
}
