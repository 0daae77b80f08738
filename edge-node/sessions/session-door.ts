/** Puts the door to the pool's agents together: their listeners, the session API, probes, and steering while cut off. */
import { Failure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { parseAddress } from "#platform/address.ts";
import { type ServiceEntry, startGrpcServer } from "#platform/grpc/server.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import { answerMeasurement, isMeasurementPath, type MeasurementPorts } from "../measurement/measurement-http.ts";
import { ProbeAnswers } from "../measurement/probe-answers.ts";
import { startUdpProbes, type UdpProbeTarget } from "../measurement/udp-probes.ts";
import { sendProblem } from "../published/problems.ts";
import type { SessionDoor, SessionPorts } from "../session-port.ts";
import { steeringFactsOf } from "../steering/cut-off-steering.ts";
import { answerSteering, STEER_HERE } from "../steering/steering-http.ts";
import { AgentDirectory } from "./agent-directory.ts";
import { createDoorEvents, type DoorEvents } from "./events.ts";
import { checkMember } from "./membership.ts";
import { SessionCalls } from "./session-calls.ts";
import { answerSessionCall, isSessionPath } from "./session-http.ts";
import { bringUpToDate, siteControlService } from "./site-control.ts";
import { siteEnrolmentService } from "./site-enrolment.ts";

/** Of no site. */
const RESERVED = "/.perigee/";
const ORIGIN_SERVER_NAME = serverNameOf({ role: "origin", name: "origin" });

export async function openSessionDoor(ports: SessionPorts): Promise<SessionDoor> {
  await using stack = new AsyncDisposableStack();
  const { set, logger, metrics } = ports;
  const events = createDoorEvents(logger, metrics);
  const resources = () => set.resources;
  const directory = new AgentDirectory(events, resources);
  const calls = new SessionCalls({ ...ports, directory, resources, events });
  stack.use(calls.watches);
  const addresses = await listenForAgents(ports, { directory, calls, events }, stack);
  stack.defer(() => {
    const stopping = new Failure("unavailable", "the edge is stopping", { retryable: true });
    for (const agent of [...directory.all()]) agent.link.end(stopping);
  });
  const answers = new ProbeAnswers({ ...ports, freeSlots: () => directory.freeSlots() });
  const udp = await openUdpProbes(ports, events, stack);
  const handle = routesOf(ports, { calls, answers, udp, events });
  const running = stack.move();
  return {
    addresses,
    handle,
    agentStatuses: () => directory.statuses().map((status) => withQuality(status, calls)),
    passOn() {
      for (const agent of [...directory.all()]) if (agent.link.recheck()) bringUpToDate({ set }, agent);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

interface DoorParts {
  readonly directory: AgentDirectory;
  readonly calls: SessionCalls;
  readonly events: DoorEvents;
}

async function listenForAgents(
  ports: SessionPorts,
  parts: DoorParts,
  stack: AsyncDisposableStack,
): Promise<SessionDoor["addresses"]> {
  const { config, origins, identity, clock, set, isRevoked, onAgentsChanged, note } = ports;
  const { directory, calls, events } = parts;
  const { pool } = identity.peer;
  const control = siteControlService({
    directory,
    set,
    checkMember: (peer, roles) => checkMember({ pool, resources: set.resources, isRevoked }, peer, roles),
    openObject: ports.openObject,
    clock,
    onChange: onAgentsChanged,
    onAgentGone: (agent) => calls.agentGone(agent),
    onReleased: (released) => calls.released(released),
    onSessionEnded(ended) {
      note({ kind: "session-ended", value: ended });
      calls.ended(ended);
      events.sessionEnded(ended);
    },
  });
  const enrolment = siteEnrolmentService({
    pool,
    resources: () => set.resources,
    origin: () => origins.current("enrolment"),
    tls: () => identity.clientTls(ORIGIN_SERVER_NAME),
    clock,
    onRelayed: events.relayed,
  });
  const listen = async (at: string, clientCertificate: "required" | "none", service: ServiceEntry) => {
    const server = stack.use(
      await startGrpcServer({
        ...{ listen: parseAddress(at), tls: identity.serverTls(clientCertificate), services: [service], clock },
        onFailed: events.siteCallFailed,
      }),
    );
    stack.use(identity.onRenewed(() => server.replaceCertificate(identity.serverTls(clientCertificate))));
    return server.address;
  };
  return {
    site: await listen(config.listen.site, "required", control),
    siteEnrolment: await listen(config.listen.siteEnrolment, "none", enrolment),
  };
}

async function openUdpProbes(
  { config: { probe }, random }: SessionPorts,
  events: DoorEvents,
  stack: AsyncDisposableStack,
): Promise<UdpProbeTarget | undefined> {
  if (probe === undefined) return undefined;
  const address = probe.address === undefined ? undefined : parseAddress(probe.address);
  return stack.use(await startUdpProbes({ listen: parseAddress(probe.listen), address, random, events })).target;
}

type Handle = SessionDoor["handle"];

function routesOf(
  ports: SessionPorts,
  { calls, answers, udp, events }: Omit<DoorParts, "directory"> & Pick<MeasurementPorts, "answers" | "udp">,
): Handle {
  const { config } = ports;
  const { contentUrl, hostname } = config;
  const isSite = (host: string | undefined): boolean => ports.siteOf(host) !== undefined;
  const sessionPorts = { ...ports, calls, events, contentUrl, hostname, isSite };
  const steering = steeringPortsOf(ports, events);
  return (incoming, response) => {
    const path = pathOf(incoming.url ?? "");
    const guard = (answering: Promise<void>): true => {
      answering.catch((error: unknown) => {
        events.broke(error);
        response.destroy();
      });
      return true;
    };
    if (isMeasurementPath(path)) return guard(answerMeasurement({ answers, udp, events }, path, incoming, response));
    if (isSessionPath(path)) return guard(answerSessionCall(sessionPorts, path, incoming, response));
    if (path === STEER_HERE && answerSteering(steering, path, incoming, response)) return true;
    if (path.startsWith(RESERVED)) {
      sendProblem(response, new Failure("not-found", `${path} is nothing that an edge answers`));
      return true;
    }
    return answerSteering(steering, path, incoming, response);
  };
}

function steeringPortsOf(ports: SessionPorts, events: DoorEvents) {
  const { view, siteOf } = ports;
  const facts = () => steeringFactsOf(ports);
  return { facts, isSite: (site: string) => view().sites.has(site), siteOf, events };
}

/** What clients measured of their sessions, joined to what agents say of them. */
function withQuality(status: AgentStatus, { records }: SessionCalls): AgentStatus {
  const sessions = status.sessions.map((session) => {
    const quality = records.peek(session.session)?.quality;
    if (quality === undefined) return session;
    const { remotePathMsP50, remotePathMsP95 } = quality;
    return { ...session, remotePathMsP50, remotePathMsP95 };
  });
  return { ...status, sessions };
}

/** Also of a target in absolute form (RFC 9112 section 3.2.2). */
function pathOf(target: string): string {
  return /^(?:https?:\/\/[^/?#]*)?(?<path>\/[^?#]*)/i.exec(target)?.groups?.["path"] ?? "";
}
