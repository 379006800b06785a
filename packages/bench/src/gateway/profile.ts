import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What V8's CPU profiler writes (.cpuprofile): times are microseconds of the monotonic clock. */
type Profile = {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  startTime: number
  samples: number[]
  timeDeltas: number[]
}

/** Time in a function itself, without what it called: microseconds, and where it is. */
export type SelfTime = { name: string; where: string; micros: number }

/** Not work of the program. */
const IDLE = '(idle)'

/**
 * Sums the self time of each function between two moments of the monotonic clock (µs, as `process.hrtime` tells it), the
 * longest first; idle time is left out.
 */
export function selfTimes(profile: Profile, from: number, to: number): SelfTime[] {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const sums = new Map<string, SelfTime>()
  let now = profile.startTime
  for (const [index, id] of profile.samples.entries()) {
    now += profile.timeDeltas[index] ?? 0
    // A sample stands for the time until the next one.
    const micros = profile.timeDeltas[index + 1] ?? 0
    const frame = frames.get(id)
    if (now < from || now > to || frame === undefined || frame.functionName === IDLE) continue
    const where = frame.url === '' ? '' : `${shorten(frame.url)}:${frame.lineNumber + 1}`
    const key = `${frame.functionName} ${where}`
    const sum = sums.get(key) ?? { name: frame.functionName || '(anonymous)', where, micros: 0 }
    sum.micros += micros
    sums.set(key, sum)
  }
  return [...sums.values()].sort((a, b) => b.micros - a.micros)
}

/** The same by whose code it is: a package, a file of ours, Node's own or V8. */
export function byOwner(times: readonly SelfTime[]): SelfTime[] {
  const sums = new Map<string, SelfTime>()
  for (const { name, where, micros } of times) {
    const owner = ownerOf(name, where)
    const sum = sums.get(owner) ?? { name: owner, where: '', micros: 0 }
    sum.micros += micros
    sums.set(owner, sum)
  }
  return [...sums.values()].sort((a, b) => b.micros - a.micros)
}

function ownerOf(name: string, where: string): string {
  if (where === '') return name.startsWith('(') ? name : 'native functions'
  if (where.startsWith('node:')) return 'node:*'
  const file = where.slice(0, where.lastIndexOf(':'))
  return file.startsWith('apps/') || file.startsWith('packages/')
    ? file
    : (/^(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? file)
}

/** A path inside its package, or inside this repository. */
function shorten(url: string): string {
  const inPackage = url.split('/node_modules/').at(-1) ?? url
  return inPackage === url ? url.replace(/^file:\/\/.*\/((?:apps|packages|infra)\/)/, '$1') : inPackage
}

/** Reads the profile that was begun last in a folder: a start that failed leaves one too. */
export async function readProfile(folder: string): Promise<{ path: string; profile: Profile }> {
  // Their names begin with the time.
  const name = (await readdir(folder)).sort().findLast((file) => file.endsWith('.cpuprofile'))
  if (name === undefined) throw new Error(`no profile in ${folder}: the process did not end in order`)
  const path = join(folder, name)
  return { path, profile: JSON.parse(await readFile(path, 'utf8')) }
}
