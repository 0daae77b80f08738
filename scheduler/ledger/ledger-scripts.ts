/** The ledger's scripts: each is one step that no other replica sees half of, by the time of the server that runs it. */
import { type RedisScript, redisScript } from "#platform/redis/redis-scripts.ts";
import { EDGE_FORGOTTEN_MS, PROMISES_PER_SESSION_MAX, RESERVATION_MS, SILENCE_MS_MAX } from "./ledger.ts";
import { KEY_PARTS } from "./ledger-keys.ts";

/** The same report again, which another replica brings, changes nothing within this. */
const REPEATED_MS = 1_000;
/** Lua's stack holds 8,000 values. */
const WORDS_PER_CALL_MAX = 1_000;

export const RESERVE_OUTCOMES = ["reserved", "full", "closed", "over-cap", "superseded", "late"] as const;
const codeOf = (outcome: (typeof RESERVE_OUTCOMES)[number]): number => RESERVE_OUTCOMES.indexOf(outcome);

const SERVER_TIME = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** ARGV[1] is the prefix of every key. A promise that is over counts as none, whether its key is there or not. */
const HELD = `
local function parse_held(text)
  if not text then return nil end
  local attempt, pool, app, rest = string.match(text, '^(%S+) (%S+) (%S+);(.*)$')
  local held = { attempt = tonumber(attempt), pool = pool, app = app, ends = 0, by_pool = {}, count = 0 }
  for of, by, till in string.gmatch(rest, '(%S+) (%S+) ([^;]+);') do
    local ends = tonumber(till)
    if ends > now then
      held.by_pool[of] = { attempt = tonumber(by), ends = ends }
      held.ends, held.count = math.max(held.ends, ends), held.count + 1
    end
  end
  if held.count == 0 then return nil end
  return held
end
local function write_held(key, held)
  local parts, last = {}, 0
  for pool, promise in pairs(held.by_pool) do
    parts[#parts + 1] = pool .. ' ' .. promise.attempt .. ' ' .. promise.ends .. ';'
    last = math.max(last, promise.ends)
  end
  if last == 0 then return redis.call('DEL', key) end
  redis.call('SET', key, held.attempt .. ' ' .. held.pool .. ' ' .. held.app .. ';' .. table.concat(parts), 'PX', last - now)
end
local function uncount(session, held)
  local key = ARGV[1] .. '${KEY_PARTS.app}' .. held.app
  local score = redis.call('ZSCORE', key, session)
  if score and tonumber(score) <= held.ends then redis.call('ZREM', key, session) end
end`;

/** A probe answer names no session: with a report to go by it only lowers what the report leaves. */
const CAPACITY = `
local function sum_others(text, excluded)
  local total, free, frame = 0, 0, nil
  for agent, t, f, ms in string.gmatch(text or '', '(%S+) (%S+) (%S+) ([^;]+);') do
    if not string.find(excluded, ';' .. agent .. ';', 1, true) then
      total, free = total + t, free + f
      frame = math.max(frame or 0, tonumber(ms))
    end
  end
  return total, free, frame
end
local function probed_free(text, class)
  local _, last = string.find(text, ';' .. class .. ' ', 1, true)
  return last and tonumber(string.match(text, '^%d+', last + 1)) or 0
end
local function capacity(pool, class, excluded, reserved)
  local known = redis.call('HMGET', pool, 'at', 'pa', 'pf', 'c/' .. class)
  local at, probed_at = tonumber(known[1] or ''), tonumber(known[2] or '')
  if not at or now - at > ${EDGE_FORGOTTEN_MS} then return false, 0, 0, nil end
  local total, free, frame = 0, 0, nil
  if known[4] and excluded == '' then
    local t, f, ms = string.match(known[4], '^(%S+) (%S+) (%S+)$')
    total, free, frame = tonumber(t), tonumber(f), ms
  elseif known[4] then
    total, free, frame = sum_others(redis.call('HGET', pool, 'x/' .. class), excluded)
  end
  local is_heard = now - at <= ${SILENCE_MS_MAX}
  local is_probed = probed_at ~= nil and now - probed_at <= ${SILENCE_MS_MAX}
  local bound = is_probed and probed_free(known[3], class) or math.huge
  local left
  if not is_heard then left = math.min(bound, total) - reserved
  elseif is_probed and probed_at > at then left = math.min(free - reserved, bound)
  else left = free - reserved end
  return is_heard or is_probed, total, math.max(0, left), frame
end`;

/** KEYS: pool, promised, reservation, app. ARGV: prefix, time it has to run by, session, attempt, app, cap, pool, class, excluded. */
const RESERVE = `
if now > tonumber(ARGV[2]) then return { ${codeOf("late")}, now } end
local session, app = ARGV[3], ARGV[5]
local held = parse_held(redis.call('GET', KEYS[3]))
local attempt = tonumber(ARGV[4])
if held and (attempt < held.attempt or (attempt == held.attempt and ARGV[7] ~= held.pool)) then
  return { ${codeOf("superseded")}, now }
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local reserved = redis.call('ZCARD', KEYS[2])
local own = held and held.by_pool[ARGV[7]]
if own then reserved = reserved - 1 end
local is_open, _, free = capacity(KEYS[1], ARGV[8], ARGV[9], reserved)
if not is_open then return { ${codeOf("closed")}, now } end
if free < 1 then return { ${codeOf("full")}, now } end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
local others = redis.call('ZCARD', KEYS[4])
if redis.call('ZSCORE', KEYS[4], session) then others = others - 1 end
if others >= tonumber(ARGV[6]) then return { ${codeOf("over-cap")}, now } end
if held and not own and held.count >= ${PROMISES_PER_SESSION_MAX} then return { ${codeOf("full")}, now } end
local ends = now + ${RESERVATION_MS}
local by_pool = held and held.by_pool or {}
by_pool[ARGV[7]] = { attempt = attempt, ends = ends }
write_held(KEYS[3], { attempt = attempt, pool = ARGV[7], app = app, by_pool = by_pool })
redis.call('ZADD', KEYS[2], ends, session)
redis.call('PEXPIRE', KEYS[2], ${RESERVATION_MS})
redis.call('ZADD', KEYS[4], 'GT', ends, session)
redis.call('PEXPIRE', KEYS[4], ${EDGE_FORGOTTEN_MS})
return { ${codeOf("reserved")}, now }`;

/** KEYS: reservation. ARGV: prefix, time it has to run by, session. */
const RELEASE = `
if now > tonumber(ARGV[2]) then return { 0, now } end
local held = parse_held(redis.call('GET', KEYS[1]))
if held then
  for pool in pairs(held.by_pool) do redis.call('ZREM', ARGV[1] .. '${KEY_PARTS.promised}' .. pool, ARGV[3]) end
  uncount(ARGV[3], held)
  redis.call('DEL', KEYS[1])
end
return { 1, now }`;

/** KEYS: pool and promised of each query. ARGV: prefix, class and excluded of each. Only reads. */
const CAPACITIES = `
local answers = {}
for at = 1, #KEYS / 2 do
  local reserved = redis.call('ZCOUNT', KEYS[2 * at], '(' .. now, '+inf')
  local is_open, total, free, frame = capacity(KEYS[2 * at - 1], ARGV[2 * at], ARGV[2 * at + 1], reserved)
  answers[at] = (is_open and 1 or 0) .. ' ' .. total .. ' ' .. free .. ' ' .. (frame or '-')
end
return { table.concat(answers, ';'), now }`;

/** KEYS: app. */
const COUNT = `
return { redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf'), now }`;

/** KEYS: pool. ARGV: prefix, time of the answer, free slots. */
const PROBED = `
local known = redis.call('HMGET', KEYS[1], 'at', 'pa')
local at = math.min(now, tonumber(ARGV[2]))
local is_known = known[1] and now - known[1] <= ${EDGE_FORGOTTEN_MS}
if is_known and at > tonumber(known[2] or '-1') then redis.call('HSET', KEYS[1], 'pa', at, 'pf', ARGV[3]) end
return { 1, now }`;

/** Every edge of a pool knows all its agents: of what two say of one, the worse counts. */
const SUM = `
local function sum_edges(edges)
  local newest = 0
  for _, edge in ipairs(edges) do newest = math.max(newest, edge.at) end
  local classes = {}
  for _, edge in ipairs(edges) do
    if newest - edge.at <= ${SILENCE_MS_MAX} then
      for agent, class, total, free, frame in string.gmatch(edge.slots, '(%S+) (%S+) (%S+) (%S+) ([^;]+);') do
        local agents = classes[class] or {}
        classes[class] = agents
        total, free, frame = tonumber(total), tonumber(free), tonumber(frame)
        local slot = agents[agent] or { total, free, frame }
        agents[agent] = { math.min(slot[1], total), math.min(slot[2], free), math.max(slot[3], frame) }
      end
    end
  end
  return newest, classes
end
local function write_pool(key, names, known, newest, classes)
  local fields = { 'n', names, 'at', newest }
  local function add(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  if known[2] then add('pa', known[2]) add('pf', known[3]) end
  for class, agents in pairs(classes) do
    local total, free, frame, parts = 0, 0, 0, {}
    for agent, slot in pairs(agents) do
      total, free, frame = total + slot[1], free + math.min(slot[1], slot[2]), math.max(frame, slot[3])
      parts[#parts + 1] = agent .. ' ' .. slot[1] .. ' ' .. math.min(slot[1], slot[2]) .. ' ' .. slot[3] .. ';'
    end
    add('c/' .. class, total .. ' ' .. free .. ' ' .. frame)
    add('x/' .. class, table.concat(parts))
  end
  redis.call('DEL', key)
  for first = 1, #fields, ${WORDS_PER_CALL_MAX} do
    redis.call('HSET', key, unpack(fields, first, math.min(#fields, first + ${WORDS_PER_CALL_MAX - 1})))
  end
  redis.call('PEXPIRE', key, ${EDGE_FORGOTTEN_MS})
end`;

/**
 * An app counts who left a pool for as long as a report is believed: another pool's, where it went on, names it again
 * within that time.
 */
const SESSIONS = `
local function each_session(text) return string.gmatch(text, '([^%s;]+) (%S+) ([^%s;]+);') end
local function count_running(sessions)
  local named, by_app = {}, {}
  for session, attempt, app in each_session(sessions) do
    named[session] = tonumber(attempt)
    by_app[app] = by_app[app] or {}
    table.insert(by_app[app], now + ${EDGE_FORGOTTEN_MS})
    table.insert(by_app[app], session)
  end
  for app, words in pairs(by_app) do
    local key = ARGV[1] .. '${KEY_PARTS.app}' .. app
    for first = 1, #words, ${WORDS_PER_CALL_MAX} do
      redis.call('ZADD', key, 'GT', unpack(words, first, math.min(#words, first + ${WORDS_PER_CALL_MAX - 1})))
    end
    redis.call('PEXPIRE', key, ${EDGE_FORGOTTEN_MS})
  end
  return named
end
local function keep_promises(named, pool)
  local promised = ARGV[1] .. '${KEY_PARTS.promised}' .. pool
  for _, session in ipairs(redis.call('ZRANGE', promised, 0, -1)) do
    local key = ARGV[1] .. '${KEY_PARTS.reservation}' .. session
    local held = named[session] and parse_held(redis.call('GET', key))
    local promise = held and held.by_pool[pool]
    if promise and promise.attempt <= named[session] then
      redis.call('ZREM', promised, session)
      held.by_pool[pool] = nil
      write_held(key, held)
    end
  end
end
local function forget_ended(before, named, edges)
  for session, _, app in each_session(before) do
    local is_told = named[session] ~= nil
    for _, edge in ipairs(edges) do
      is_told = is_told or string.find(edge.sessions, ';' .. session .. ' ', 1, true) ~= nil
    end
    if not is_told then
      local key = ARGV[1] .. '${KEY_PARTS.app}' .. app
      local held = parse_held(redis.call('GET', ARGV[1] .. '${KEY_PARTS.reservation}' .. session))
      if held and held.app == app then redis.call('ZADD', key, 'XX', held.ends, session)
      else redis.call('ZADD', key, 'XX', 'LT', now + ${SILENCE_MS_MAX}, session) end
    end
  end
end`;

/** KEYS: pool, edge. ARGV: prefix, time of the report, pool, node, slots, sessions. */
const REPORT = `
local function parse_edge(text)
  local at, slots, sessions = string.match(text, '^(%S+)\\n([^\\n]*)\\n(.*)$')
  return { at = tonumber(at), slots = slots, sessions = sessions }
end
local edge = { at = math.min(now, tonumber(ARGV[2])), slots = ARGV[5], sessions = ARGV[6] }
local pool, node = ARGV[3], ARGV[4]
local text = redis.call('GET', KEYS[2])
local before = text and parse_edge(text)
if before and before.at > edge.at then return { 0, now } end
if before and edge.at - before.at < ${REPEATED_MS} and before.slots == edge.slots and before.sessions == edge.sessions then
  return { 2, now }
end
redis.call('SET', KEYS[2], edge.at .. '\\n' .. edge.slots .. '\\n' .. edge.sessions, 'PX', ${EDGE_FORGOTTEN_MS})
local known = redis.call('HMGET', KEYS[1], 'n', 'pa', 'pf')
local edges, names = { edge }, { node }
for other in string.gmatch(known[1] or '', '%S+') do
  local told = other ~= node and redis.call('GET', ARGV[1] .. '${KEY_PARTS.edge}' .. pool .. '/' .. other)
  local sibling = told and parse_edge(told)
  if sibling and now - sibling.at <= ${EDGE_FORGOTTEN_MS} then
    table.insert(names, other)
    table.insert(edges, sibling)
  end
end
write_pool(KEYS[1], table.concat(names, ' '), known, sum_edges(edges))
local named = count_running(edge.sessions)
keep_promises(named, pool)
if before then forget_ended(before.sessions, named, edges) end
return { 1, now }`;

/** `now` is Lua that says what time it is: the server's own, but for tests. */
export function ledgerScripts(now = SERVER_TIME): Readonly<Record<LedgerOperation, RedisScript>> {
  const script = (...parts: readonly string[]) => redisScript([now, ...parts].join("\n"));
  return {
    time: script("return { 0, now }"),
    reserve: script(HELD, CAPACITY, RESERVE),
    release: script(HELD, RELEASE),
    capacities: script(CAPACITY, CAPACITIES),
    count: script(COUNT),
    probed: script(PROBED),
    report: script(HELD, SUM, SESSIONS, REPORT),
  };
}

export type LedgerOperation = "time" | "reserve" | "release" | "capacities" | "count" | "probed" | "report";
