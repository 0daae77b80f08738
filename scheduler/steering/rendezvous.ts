/** Ranks names by a hash of each with a key: the same for all who ask, and one name more or less moves only its own share. Pure. */

const FNV_OFFSET = 0x811c_9dc5;
const FNV_PRIME = 0x0100_0193;

/** Rendezvous hashing (Thaler, Ravishankar 1998), the highest weight first. */
export function rankByHash(key: string, names: readonly string[]): readonly string[] {
  const weighted = names.map((name) => ({ name, weight: hashOf(`${key}\0${name}`) }));
  weighted.sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1));
  return weighted.map(({ name }) => name);
}

/** FNV-1a over UTF-16 units with the finaliser of MurmurHash3, 32 bits: spread, not secrecy. */
export function hashOf(text: string): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
