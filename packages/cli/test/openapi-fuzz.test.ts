import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { faultRun, skipWithout, startSystem } from '@skerry/testing'
import t from 'tap'
import { pythonPackages } from './helpers/python.ts'

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)

/** It makes requests from the documents, right and wrong ones, and compares what comes with what they say (https://schemathesis.io). */
const REQUIREMENTS = ['schemathesis==4.32.5']
/** Of each operation, besides its own examples and the edges of its schemas. A bound in time would make it go on until that is over. */
const EXAMPLES = 250
/** Answers that do not end by themselves, and what would end the session that all is asked with (ids of sessions are learnt from their list). */
const LEFT_OUT = [
  ...['--exclude-path-regex', '^/v1/(live|auth/logout)'],
  ...['--exclude-operation-id', 'deleteAccount', '--exclude-operation-id', 'endSession']
]

/** What these are; and the document itself, which schemathesis reads and does not ask for again. */
const NOT_ASKED = [
  'DELETE /v1/auth/account',
  'DELETE /v1/auth/sessions/{id}',
  'GET /openapi.json',
  'GET /v1/live',
  'GET /v1/live/ws',
  'POST /v1/auth/logout'
]

/** A check that one request failed. */
type Fault = {
  check: string
  operation: string
  url: string
  sent: string
  status: number
  problem: { code?: string; errors?: { path: string; code: string }[] }
  message: string
}

/** Refusals of what fits its schema, by the reason that they give: no schema says these, the descriptions do. */
const REFUSALS: Readonly<Record<string, string>> = {
  BAD_CURSOR: 'a cursor is opaque',
  IDEMPOTENCY_MISMATCH: 'a key was used before, for another request',
  PRECONDITION_FAILED: 'the tag is not that of the resource',
  USR_SELF_FOLLOW: 'nobody can follow themselves',
  unknown: 'fields names members of the route, which are no pattern',
  one_of: 'exactly one of some members is needed',
  too_few: 'members that are null count as absent',
  unavailable: 'pictures cannot be uploaded yet',
  not_found: 'an upload is not there',
  text: 'text holds no NUL and is well-formed Unicode',
  email: 'an address is looked at closer than a pattern can',
  email_domain: 'an address is looked at closer than a pattern can',
  blank: 'white space alone says nothing',
  too_short: 'white space at the ends is no part of a text, and nothing is left without it',
  control: 'names are one line',
  bidi: 'text does not turn the direction of what is around it',
  marks: 'no more than 30 marks in a row'
}

/** Why a failed check is right as it is; undefined for a fault. */
function reasonOf({ check, url, sent, status, problem, message }: Fault): string | undefined {
  const codes = problem.errors?.map(({ code }) => code) ?? []
  const refusal = [problem.code ?? '', ...codes].map((code) => REFUSALS[code]).find((why) => why !== undefined)
  if (check === 'positive_data_acceptance' && status < 500) return refusal
  if (check === 'negative_data_rejection') {
    if (status === 414) return 'what is longer than any target is refused for that'
    if (status === 413) return 'what is larger than any body is refused for that'
    if (status === 412) return 'a tag that is none is refused as one that does not match'
    if (/Incorrect type|, became null\)/.test(message) && sent.includes('null'))
      return 'null where a member is optional means absent'
  }
  if (check === 'response_schema_conformance' && /[?&]fields=/.test(url) && message.includes('is a required property'))
    return 'fields leaves out members that the schema requires'
  return undefined
}

type Interaction = {
  request: { uri: string; body?: { $base64?: string } | null }
  response?: { status_code: number; content?: { $base64?: string } | null } | null
}
type Recorder = {
  label: string
  checks?: Record<string, { name: string; status: string; failure_info?: { failure?: { message?: string } } }[]>
  interactions?: Record<string, Interaction>
}

/** What one line of a report tells of: one of these, or something else. */
type Event = {
  ScenarioFinished?: { recorder: Recorder }
  NonFatalError?: { label: string; value: { type: string; message: string } }
  FatalError?: { exception: { type: string; message: string } }
  EngineFinished?: { stop_reason: string }
}
type Report = {
  checks: number
  operations: ReadonlySet<string>
  faults: Fault[]
  /** Answers by their status. */
  statuses: Readonly<Record<string, number>>
  /** Answers that say that the token of the run is good no more: whatever is asked after that shows nothing. */
  signedOut: number
  /** What could not be asked, or was not answered at all. */
  errors: string[]
  /** Why the run has ended. */
  ended: string
}

/** All failed checks in the events of a run, and what was checked. */
function readEvents(lines: string): Report {
  const faults: Fault[] = []
  const errors: string[] = []
  const operations = new Set<string>()
  const statuses: Record<string, number> = {}
  let signedOut = 0
  let checks = 0
  let ended = 'it did not'
  const decoded = (content: { $base64?: string } | null | undefined) =>
    Buffer.from(content?.$base64 ?? '', 'base64').toString()
  for (const line of lines.split('\n')) {
    if (line === '') continue
    const event = JSON.parse(line) as Event
    const { ScenarioFinished: scenario, NonFatalError: error, FatalError: fatal } = event
    if (error !== undefined) errors.push(`${error.label}: ${error.value.type}: ${error.value.message}`)
    if (fatal !== undefined) errors.push(`${fatal.exception.type}: ${fatal.exception.message}`)
    ended = event.EngineFinished?.stop_reason ?? ended
    if (scenario === undefined) continue
    // A scenario in which nothing was asked has neither.
    const { label, interactions = {}, checks: byCase = {} } = scenario.recorder
    for (const { response } of Object.values(interactions)) {
      const status = String(response?.status_code ?? 'none')
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status === '401' && /"(TOKEN_EXPIRED|SESSION_REVOKED)"/.test(decoded(response?.content))) signedOut++
    }
    for (const [id, list] of Object.entries(byCase)) {
      // Sequences of requests have a label, too.
      if (/^[A-Z]+ \//.test(label)) operations.add(label)
      for (const { name, status, failure_info } of list) {
        checks++
        if (status === 'success') continue
        const { request, response } = interactions[id] ?? { request: { uri: '' } }
        const body = decoded(response?.content)
        faults.push({
          check: name,
          operation: label,
          url: request.uri,
          sent: decoded(request.body),
          status: response?.status_code ?? 0,
          problem: body.startsWith('{"type":"urn:') ? JSON.parse(body) : {},
          message: failure_info?.failure?.message ?? ''
        })
      }
    }
  }
  return { checks, operations, faults, statuses, signedOut, errors, ended }
}

const packages = run.long ? await pythonPackages(REQUIREMENTS) : undefined

t.test('a fault has a reason, or is one', (t) => {
  const fault = {
    check: 'positive_data_acceptance',
    operation: 'GET /x',
    url: '/x',
    sent: '',
    status: 400,
    problem: {},
    message: ''
  }
  t.equal(reasonOf(fault), undefined)
  t.equal(reasonOf({ ...fault, problem: { code: 'BAD_CURSOR' } }), REFUSALS.BAD_CURSOR)
  t.equal(reasonOf({ ...fault, status: 500, problem: { code: 'BAD_CURSOR' } }), undefined)
  const nothing = { ...fault, check: 'negative_data_rejection', status: 202, sent: '{"a": null}' }
  t.ok(reasonOf({ ...nothing, message: 'violates `type` at /properties/a (was string, became null)' }))
  t.equal(reasonOf({ ...nothing, message: 'violates `minLength`' }), undefined)
  t.equal(
    reasonOf({ ...fault, check: 'response_schema_conformance', message: '"a" is a required property' }),
    undefined
  )
  t.end()
})

const skip =
  packages === undefined
    ? { skip: 'takes minutes: npm run test:faults -- openapi' }
    : skipWithout('missing' in packages ? packages.missing : undefined)

t.test('round 1', skip, async (t) => {
  const system = await startSystem(t, {
    env: { LIMIT_USER_PER_SECOND: '100000', LIMIT_USER_BURST: '100000', ACCESS_TTL_S: '3600' }
  })
  const account = {
    email: 'fuzz@example.com',
    username: 'fuzzer',
    password: 'correct horse battery staple',
    displayName: 'F'
  }
  const signedUp = await fetch(`${system.url}/v1/auth/signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(account)
  })
  const { accessToken } = (await signedUp.json()) as { accessToken: string }
  const folder = await mkdtemp(join(tmpdir(), 'skerry-openapi-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const report = join(folder, 'events.ndjson')
  const child = spawn(
    'python3',
    [
      '-c',
      'from schemathesis.cli import schemathesis; schemathesis()',
      'run',
      `${system.url}/openapi.json`,
      ...['--checks', 'all', '--seed', String(run.seed), '--max-examples', String(EXAMPLES), '--continue-on-failure'],
      // One: in threads that parse at the same time its parser fails (CPython issue 106905).
      ...['--workers', '1', '--request-timeout', '30', '--no-color'],
      ...['--header', `Authorization: Bearer ${accessToken}`, '--output-sanitize', 'false'],
      ...['--report', 'ndjson', '--report-ndjson-path', report],
      ...LEFT_OUT
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PYTHONPATH: 'folder' in packages! ? packages.folder : '', NO_COLOR: '1' }
    }
  )
  t.teardown(() => child.kill())
  const [said] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  for (const line of said
    .split('\n')
    .filter((line) => /generated|Tested|===/.test(line))
    .slice(-4))
    t.comment(line.trim())
  const { checks, operations, faults, statuses, signedOut, errors, ended } = readEvents(await readFile(report, 'utf8'))
  t.comment(`seed ${run.seed}: ${checks} checks of ${operations.size} operations; answers: ${JSON.stringify(statuses)}`)
  const { paths } = (await (await fetch(`${system.url}/openapi.json`)).json()) as { paths: Record<string, object> }
  const declared = Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`)
  )
  t.same(
    declared.filter((operation) => !operations.has(operation)).sort(),
    NOT_ASKED,
    'all other operations were asked'
  )
  t.ok(checks > 10_000, 'thousands of answers were looked at', { checks, said: said.slice(-2_000) })
  const reasons = new Map<string, number>()
  const left = new Map<string, Fault & { times: number }>()
  for (const fault of faults) {
    const reason = reasonOf(fault)
    const key = reason ?? `${fault.operation}: ${fault.check}, ${fault.status} ${fault.problem.code ?? ''}`
    if (reason !== undefined) reasons.set(key, (reasons.get(key) ?? 0) + 1)
    else left.set(key, { ...fault, times: (left.get(key)?.times ?? 0) + 1 })
  }
  for (const [reason, times] of reasons) t.comment(`${times} × ${reason}`)
  for (const [what, fault] of left) t.fail(what, { ...fault, said: fault.message, sent: fault.sent.slice(0, 2_000) })
  t.equal(signedOut, 0, 'its token was good to the end')
  t.same(errors, [], 'each request was answered')
  t.equal(ended, 'completed', 'all was asked')
  t.ok((await fetch(`${system.url}/readyz`)).ok, 'the system is well afterwards')
})
