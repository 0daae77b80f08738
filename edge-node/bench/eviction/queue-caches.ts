/** Caches over the production queue: with the production policy, and with plain GDSF. */
import { EvictionPolicy, historyEntriesFor } from "../../store/eviction-policy.ts";
import { EvictionQueue, type QueuePolicy } from "../../store/eviction-queue.ts";
import type { Cache } from "./trace.ts";

export function perigeeCache(capacityBytes: number): Cache {
  return queueCache(capacityBytes, new EvictionPolicy({ historyEntries: historyEntriesFor(capacityBytes) }));
}

/** Greedy-Dual-Size-Frequency (Cherkasova 1998): what has left is forgotten. */
export function gdsfCache(capacityBytes: number): Cache {
  let clock = 0;
  return queueCache(capacityBytes, {
    firstFrequency: () => 1,
    priorityOf: (frequency, bytes) => clock + frequency / bytes,
    evicted(_hash, _frequency, priority) {
      clock = priority;
    },
  });
}

function queueCache(capacityBytes: number, policy: QueuePolicy): Cache {
  const queue = new EvictionQueue(policy);
  const slots = new Map<number, number>();
  const kept: { object: number; bytes: number }[] = [];
  let usedBytes = 0;
  return (object, bytes) => {
    const slot = slots.get(object);
    if (slot !== undefined) {
      queue.touch(slot);
      return true;
    }
    if (bytes > capacityBytes) return false;
    for (usedBytes += bytes; usedBytes > capacityBytes; ) {
      const gone = kept[queue.evict() ?? -1];
      if (gone === undefined) throw new Error("nothing is left to evict");
      slots.delete(gone.object);
      usedBytes -= gone.bytes;
    }
    const added = queue.add(Math.imul(object + 1, 0x9e37_79b1) >>> 0, bytes);
    slots.set(object, added);
    kept[added] = { object, bytes };
    return false;
  };
}
