/** A program's metrics: one registry with the default process metrics; base units, fixed label names. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type { Counter, Gauge, Histogram };

export interface Metrics {
  counter<L extends string>(name: string, help: string, labelNames?: readonly L[]): Counter<L>;
  gauge<L extends string>(name: string, help: string, labelNames?: readonly L[]): Gauge<L>;
  histogram<L extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames?: readonly L[],
  ): Histogram<L>;
  /** `run` brings up to date what is counted elsewhere, whenever the metrics are asked for. */
  beforeRender(run: () => void): void;
  /** The Prometheus text exposition and its media type. */
  render(): Promise<{ readonly mediaType: string; readonly text: string }>;
}

/** Names get the prefix `perigee_PROGRAM_`. */
export function createMetrics(program: string): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const prefix = `perigee_${program.replaceAll("-", "_")}_`;
  const tallies: (() => void)[] = [];
  const common = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) => ({
    name: `${prefix}${name}`,
    help,
    labelNames: [...labelNames],
    registers: [registry],
  });
  return {
    counter: (name, help, labelNames) => new Counter(common(name, help, labelNames)),
    gauge: (name, help, labelNames) => new Gauge(common(name, help, labelNames)),
    histogram: (name, help, buckets, labelNames) =>
      new Histogram({ ...common(name, help, labelNames), buckets: [...buckets] }),
    beforeRender: (run) => void tallies.push(run),
    async render() {
      for (const tally of tallies) tally();
      return { mediaType: registry.contentType, text: await registry.metrics() };
    },
  };
}
