/** Opens the log where the configuration says it is: a file of this origin, or an etcd that several share. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import type { ClientTls } from "#platform/grpc/client.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { Random } from "#platform/random.ts";
import type { EtcdConfig, OriginConfig } from "../config.ts";
import type { ResourceLog } from "./resource-log.ts";
import { openSqliteLog } from "./sqlite-log.ts";

export interface OpenLogTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Throws as the log does, and `config-invalid` for a file that cannot be read. */
export async function openLog({ dataDir, log }: OriginConfig, tools: OpenLogTools): Promise<ResourceLog> {
  if (log === undefined) return openSqliteLog(join(dataDir, "log.sqlite"), tools.random.uuid());
  const { openEtcdLog } = await import("./etcd/etcd-log.ts");
  const { createEtcdEvents } = await import("./etcd/events.ts");
  const { clock, random, logger, metrics } = tools;
  const onLost = (error: unknown): void =>
    queueMicrotask(() => {
      // The process's last handler ends it, as for lost storage: started again, it takes what is there.
      throw error;
    });
  const events = createEtcdEvents(logger, metrics);
  return await openEtcdLog({ ...(await etcdOptions(log.etcd)), clock, random, events, onLost });
}

export async function etcdOptions({ endpoints, prefix, tls }: EtcdConfig) {
  return { endpoints, prefix, ...(tls === undefined ? {} : { tls: await readTls(tls) }) };
}

async function readTls(tls: NonNullable<EtcdConfig["tls"]>): Promise<Pick<ClientTls, "authoritiesPem" | "own">> {
  const { authorityFile, certificateFile, keyFile } = tls;
  const authoritiesPem = await readPem("authorityFile", authorityFile);
  if (certificateFile === undefined && keyFile === undefined) return { authoritiesPem };
  if (certificateFile === undefined || keyFile === undefined)
    throw new Failure("config-invalid", "log.etcd.tls: certificateFile and keyFile are given both or neither");
  const chainPem = await readPem("certificateFile", certificateFile);
  return { authoritiesPem, own: { chainPem, keyPem: await readPem("keyFile", keyFile) } };
}

async function readPem(key: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const message = `log.etcd.tls.${key}: ${path} cannot be read (${fileReasonOf(error)})`;
    throw new Failure("config-invalid", message, { cause: error });
  }
}
