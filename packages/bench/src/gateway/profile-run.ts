import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findLoadGenerator } from './load-generator.ts'
import { usageOf } from './process-tree.ts'
import { byOwner, readProfile, type SelfTime, selfTimes } from './profile.ts'
import { chooseRows } from './rows.ts'
import { startOrigin, startRowServer, startSlow } from './servers.ts'
import { makeSigner } from './token.ts'

const WARM_UP = 10_000
/** Few enough a second that the profiler itself stays cheap. */
const INTERVAL_MICROS = 500
const FUNCTIONS = 40
const OWNERS = 16

/** Runs one row under the CPU profiler and prints the functions and files with the most self time, in µs a request. */
export async function profileRow(id: string, requests: number, say: (line: string) => void): Promise<void> {
  const [row] = chooseRows([id])
  const folder = await mkdtemp(join(tmpdir(), 'skerry-profile-'))
  const load = await findLoadGenerator()
  const origin = await startOrigin(folder)
  const slow = await startSlow()
  const signer = makeSigner()
  try {
    const execArgv = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_MICROS}`]
    const server = await startRowServer(row!.server, { origin, slow: slow.url, signer, folder, execArgv, say })
    if ('install' in server) throw new Error(server.install)
    const authorization: Record<string, string> = row!.token ? { authorization: `Bearer ${signer.token}` } : {}
    const target = { url: `${server.url}${row!.path}`, headers: authorization }
    say(`${load.name}: warm-up`)
    const warm = await load.run(target, WARM_UP, 5_000)
    const from = monotonicMicros()
    const before = await usageOf(server.pid)
    say(`${load.name}: ${requests} requests`)
    const result = await load.run(target, requests, warm.requests / warm.seconds)
    const to = monotonicMicros()
    const cpuMicros = ((await usageOf(server.pid)).cpuSeconds - before.cpuSeconds) * 1e6
    await server.stop()
    if (result.failures > 0) throw new Error(`${result.failures} bad answers or errors of ${result.requests}`)
    const { path, profile } = await readProfile(folder)
    const times = selfTimes(profile, from, to)
    const busy = times.reduce((sum, { micros }) => sum + micros, 0)
    process.stdout.write(
      `${result.requests} requests; CPU under the profiler, all threads: ${(cpuMicros / result.requests).toFixed(1)} µs a request\n` +
        'Below are times of the main thread by the clock: where the machine is busy, system calls such as writes seem longer.\n\n' +
        `By whose code (µs a request, self time):\n${lines(byOwner(times), OWNERS, busy, result.requests)}\n` +
        `By function:\n${lines(times, FUNCTIONS, busy, result.requests)}\nProfile, for a browser's developer tools: ${path}\n`
    )
  } finally {
    await slow.stop()
    await origin.stop()
  }
}

function lines(times: readonly SelfTime[], count: number, busy: number, requests: number): string {
  return times
    .slice(0, count)
    .map(({ name, where, micros }) => {
      const share = `${((micros / busy) * 100).toFixed(1)} %`
      return `${(micros / requests).toFixed(2).padStart(8)} ${share.padStart(7)}  ${name}  ${where}`.trimEnd()
    })
    .join('\n')
    .concat('\n')
}

/** The clock that the profiler's times are of. */
function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}
