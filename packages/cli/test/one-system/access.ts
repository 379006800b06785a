import { readFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { type FaultRun, type System, waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { accessPeople } from '../helpers/access-people.ts'
import { houseTokens } from '../helpers/house-tokens.ts'
import { knock } from '../helpers/knock.ts'
import { CALLERS, type Caller, type Expected, expectedOf, type Operation, operationsOf } from '../helpers/operations.ts'
import { signUp } from '../helpers/phone.ts'
import { startPipelines } from '../helpers/pipelines.ts'

/** What strangers get of a whole system through its gateway. `npm run test:faults -- gateway-strangers` asks more often. */
export async function access(t: Test, system: System, run: FaultRun): Promise<void> {
  const MUTANTS = run.long ? 20_000 : 1_000
  const SMALL = run.long ? 100_000 : 4_000

  const { processes } = await system.run()
  const gateway = processes.find(({ name }) => name === 'gateway')!

  /** What the parts of the system say of faults: in their metrics, and errors in the log of the gateway. */
  async function faults(): Promise<string[]> {
    const counted = await Promise.all(
      processes
        .filter(({ ops }) => ops !== null)
        .map(async ({ name, ops }) => {
          const text = await (await fetch(`${ops}/metrics`)).text()
          return (text.match(/^skerry_faults_total.*$/gm) ?? []).map((line) => `${name}: ${line}`)
        })
    )
    const log = await readFile(join(system.home, 'logs', 'gateway-1.log'), 'utf8')
    return [...counted.flat(), ...log.split('\n').filter((line) => /"level":(?:[5-9]\d)[,}]/.test(line))]
  }
  async function lives(): Promise<boolean> {
    const now = (await system.run()).processes
    return (
      now.some(({ name, pid }) => name === 'gateway' && pid === gateway.pid) && (await fetch(`${system.url}/readyz`)).ok
    )
  }

  t.test('who may do what: every operation of every service, as it declares', async (t) => {
    const read = async (url: string) =>
      (await fetch(`${url}/openapi.json`)).json() as Promise<Parameters<typeof operationsOf>[0]>
    const services = processes.filter(({ name, ops }) => ops !== null && name !== 'gateway')
    const owns = await Promise.all(
      services.map(async ({ name, ops }) => ({ name, own: operationsOf(await read(ops!)).map(({ id }) => id) }))
    )
    // A document that could not be had in time at first is fetched by the next look.
    let operations: Operation[] = []
    for (const { name, own } of owns) {
      t.ok(own.length > 0, `${name} publishes its operations`)
      await waitFor(
        async () => {
          operations = operationsOf(await read(system.url))
          return own.every((id) => operations.some((operation) => operation.id === id))
        },
        { message: `the gateway's document has all of ${name}: ${own}` }
      )
    }
    const people = await accessPeople(system)

    type Sent = { path: string; body: unknown }
    const told = async (operation: Operation, caller: Caller, { path, body }: Sent): Promise<Expected | string> => {
      const authorization = await people.authorization(operation, caller)
      const {
        status,
        headers,
        body: text
      } = await knock(system.url + path, {
        method: operation.method,
        headers: authorization === undefined ? {} : { authorization },
        ...(body === undefined ? {} : { body }),
        upgrade: operation.successes.includes(101)
      })
      if (operation.successes.includes(status)) return 'success'
      const challenged = status !== 401 || headers['www-authenticate'] !== undefined
      const expected = status === 401 || status === 403 || status === 404
      return expected && challenged ? status : `${status} ${text}`
    }
    for (const operation of operations) {
      const got: Record<string, unknown> = {}
      let sent: Sent | undefined
      for (const caller of CALLERS) {
        // What was refused to one is there for the next.
        sent ??= { path: await people.pathFor(operation), body: await people.bodyFor(operation) }
        got[caller] = await told(operation, caller, sent)
        if (got[caller] === 'success') sent = undefined
      }
      const expected = Object.fromEntries(CALLERS.map((caller) => [caller, expectedOf(operation, caller)]))
      t.same(got, expected, `${operation.method} ${operation.path}`)
    }
    t.comment(`${operations.length} operations × ${CALLERS.length} callers`)
    t.same(await faults(), [])
  })

  t.test('a token of which anything was changed is refused, and nothing else happens', async (t) => {
    const { grant } = await signUp(system.url, 'victim')
    const tokens = await houseTokens(system.home, grant.accessToken)
    const random = run.random(1, 'tokens')
    const agent = new Agent({ keepAlive: true, maxSockets: 8 })
    t.teardown(() => agent.destroy())
    const ask = (authorization: string | string[]) =>
      knock(`${system.url}/v1/users/me`, { headers: { authorization }, agent })
    t.equal((await ask(`Bearer ${grant.accessToken}`)).status, 200)
    const claims = JSON.parse(Buffer.from(grant.accessToken.split('.')[1]!, 'base64url').toString())
    t.equal((await ask(`Bearer ${tokens.sign(claims)}`)).status, 200, 'what this test signs is as good as a real one')

    const answers = new Map<string, number>()
    const others: unknown[] = []
    let left = MUTANTS
    const lane = async () => {
      while (left-- > 0) {
        const mutant = tokens.mutant(random)
        const { status, headers, body } = await ask(`Bearer ${mutant}`)
        const { code } = (body.startsWith('{') ? JSON.parse(body) : {}) as { code?: string }
        const what = `${status} ${code}`
        answers.set(what, (answers.get(what) ?? 0) + 1)
        if (status !== 401 || headers['www-authenticate'] === undefined) others.push({ mutant, status, body })
      }
    }
    await Promise.all(Array.from({ length: 8 }, lane))
    t.comment(`seed ${run.seed}, ${MUTANTS} tokens: ${JSON.stringify(Object.fromEntries(answers))}`)
    t.same(others.slice(0, 5), [], 'each is 401 with a challenge')
    t.equal((await ask(`Bearer ${grant.accessToken}`)).status, 200, 'the real one is good as before')
    t.ok(await lives(), 'the gateway lives')
    t.same(await faults(), [])
  })

  t.test('many small requests: each is answered, in its order', async (t) => {
    const { grant } = await signUp(system.url, 'many')
    const megabytes = async () => {
      const text = await readFile(`/proc/${gateway.pid}/status`, 'utf8').catch(() => '')
      return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1_024)
    }
    const authorization = `authorization: Bearer ${grant.accessToken}`
    const kinds = [
      { path: '/livez', lines: [], status: 200 },
      { path: '/v1/users/me', lines: [authorization], status: 200 },
      { path: '/v1/users/me', lines: [], status: 401 },
      { path: '/v1/nothing/here', lines: [authorization], status: 404 }
    ]
    // Its code is compiled and its buffers are there: memory is compared with that.
    await startPipelines(system.url, { kinds, requests: 2_000, connections: 32, random: run.random(1, 'warm') })
    const before = await megabytes()
    const start = performance.now()
    const { answered, wrong } = await startPipelines(system.url, {
      kinds,
      requests: SMALL,
      connections: 64,
      random: run.random(1, 'small')
    })
    const seconds = (performance.now() - start) / 1_000
    t.equal(answered, SMALL, 'all are answered')
    t.same(wrong.slice(0, 5), [], 'each with what its request is to get')
    const after = await megabytes()
    t.ok(await lives(), 'the gateway lives')
    t.same(await faults(), [])
    if (run.long) {
      const limit = Math.max(before * 1.2, before + 24)
      await waitFor(async () => (await megabytes()) <= limit, {
        timeoutMs: 120_000,
        message: `memory returns to ${limit} MB`
      })
    }
    t.comment(
      `${SMALL} requests, ${Math.round(SMALL / seconds)} a second; gateway ${before} MB before, ${after} right after, ${await megabytes()} now`
    )
  })
}
