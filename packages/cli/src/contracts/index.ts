import { join } from 'node:path'
import { declaredIn } from '@skerry/contracts/compat'
import { StartError } from '@skerry/stores'
import { judge, released, without } from './judge.ts'
import { RELEASED, type Released, readReleased, writeReleased } from './released.ts'
import { report } from './report.ts'
import { findUses, type Uses } from './uses.ts'

/** `ok` is false for a breaking change. */
export type Checked = { ok: boolean; output: string; unreleased: number }

/**
 * Compares the declared contracts with the golden files of a checkout.
 *
 * @param module the namespace of `@skerry/contracts`; loaded when not given
 */
export async function checkContracts(repo: string, module?: object): Promise<Checked> {
  const contracts = module ?? (await import('@skerry/contracts'))
  const declared = declaredIn(contracts)
  const changes = judge(declared, await readReleased(join(repo, RELEASED)))
  const uses = await findUses(repo, contracts, declared)
  const breaking = changes.filter(({ kind }) => kind === 'breaking').length
  return { ok: breaking === 0, output: report(changes, uses), unreleased: changes.length - breaking }
}

export type ReleaseOptions = {
  /** Contracts whose window has ended: `content.post.created.v1`, `GET /v1/posts/:id`. */
  retire?: readonly string[]
  module?: object
}

/**
 * Rewrites the golden files as contracts are declared. Nothing is written when anything of it is breaking, or when a contract that is to
 * be retired is still declared or used: then `ok` is false and `output` says why.
 */
export async function releaseContracts(
  repo: string,
  options: ReleaseOptions = {}
): Promise<Omit<Checked, 'unreleased'>> {
  const module = options.module ?? (await import('@skerry/contracts'))
  const declared = declaredIn(module)
  const folder = join(repo, RELEASED)
  const uses = await findUses(repo, module, declared)
  const before = await readReleased(folder)
  const rest = (options.retire ?? []).reduce((left, contract) => retired(contract, left, uses), before)
  const changes = judge(declared, rest)
  for (const contract of options.retire ?? [])
    if (changes.some((change) => change.contract === contract))
      throw new StartError(`${contract} is still declared: take it out of packages/contracts first`)
  if (changes.some(({ kind }) => kind === 'breaking'))
    return { ok: false, output: `${report(changes, uses)}\n\nNothing was released.` }
  const changed = await writeReleased(folder, released(declared, rest))
  const lines = changed.map((name) => `  ${RELEASED}/${name}`)
  return {
    ok: true,
    output: changed.length === 0 ? 'All contracts are as they were released.' : `Released:\n${lines.join('\n')}`
  }
}

function retired(contract: string, left: Released, uses: Uses): Released {
  const rest = without(contract, left)
  if (rest === undefined) throw new StartError(`${contract} was not released, so it cannot be retired`)
  const users = uses.get(contract) ?? []
  if (users.length > 0)
    throw new StartError(
      `${contract} cannot be retired yet, it is used by ${users.map(({ by, where }) => `${by} (${where})`).join(', ')}`
    )
  return rest
}

/** `./skerry contracts check|release`. */
export async function contracts(
  repo: string,
  args: readonly string[],
  options: { released?: boolean; retire?: string[] }
): Promise<number> {
  const [what, ...more] = args
  if (more.length > 0 || (what !== 'check' && what !== 'release'))
    throw new StartError('say what to do: ./skerry contracts check, or ./skerry contracts release')
  if (what === 'check' && options.retire !== undefined)
    throw new StartError('--retire belongs to ./skerry contracts release')
  if (what === 'release' && options.released === true)
    throw new StartError('--released belongs to ./skerry contracts check')
  if (what === 'release') {
    const { ok, output } = await releaseContracts(repo, { retire: options.retire ?? [] })
    process.stdout.write(`${output}\n`)
    return ok ? 0 : 1
  }
  const { ok, output, unreleased } = await checkContracts(repo)
  process.stdout.write(`${output}\n`)
  return ok && !(options.released === true && unreleased > 0) ? 0 : 1
}
