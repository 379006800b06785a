import type { Change } from '@skerry/contracts/compat'
import type { Use, Uses } from './uses.ts'

/** What `./skerry contracts check` says: breaking changes in full, then what only has not been released yet. */
export function report(changes: readonly Change[], uses: Uses): string {
  const of = (kind: Change['kind']) =>
    Object.entries(
      Object.groupBy(
        changes.filter((one) => one.kind === kind),
        (c) => c.contract
      )
    )
  const breaking = of('breaking').map(([contract, list = []]) => breakingText(contract, list, uses.get(contract) ?? []))
  const additive = of('additive').map(([contract, list = []]) =>
    [`${contract}: additive`, ...list.map((one) => `  ${place(one)}`)].join('\n')
  )
  const fresh = of('new').map(([contract]) => `${contract}: new`)
  const unreleased = [...additive, ...fresh]
  return [
    ...breaking,
    ...(unreleased.length === 0
      ? []
      : [`Not released yet (\`./skerry contracts release\`):\n\n${unreleased.join('\n')}`]),
    summary(breaking.length, additive.length, fresh.length)
  ].join('\n\n')
}

function breakingText(contract: string, changes: readonly Change[], uses: readonly Use[]): string {
  return [
    `${contract}: breaking`,
    ...changes.map((one) => `  ${place(one)}\n    ${one.why}`),
    uses.length === 0 ? '  used by nobody in this repository; others may' : '  used by',
    ...uses.map(({ by, where }) => `    ${by.padEnd(10)} ${where}`),
    `  way out\n    ${wayOut(contract)}`
  ].join('\n')
}

function place({ path, before, after }: Change): string {
  return `${path === '' ? '' : `${path}: `}${before} → ${after}`
}

function wayOut(contract: string): string {
  const version = /^(.+)\.v(\d+)$/.exec(contract)
  if (version !== null) {
    const next = Number(version[2]) + 1
    return [
      `Leave version ${version[2]} as it was released and declare the change as a second event with \`version: ${next}\`. Publish both in`,
      `the same transaction (\`publishBoth\`) until all of the above have moved to ${version[1]}.v${next}; then take version ${version[2]} out and`,
      `run \`./skerry contracts release --retire ${contract}\`. See docs/contracts.md.`
    ].join('\n    ')
  }
  return [
    'Leave this route as it was released and declare the change as another one beside it (a new path, or below /v2). Serve both until',
    `the clients that are out there have moved; then take it out and run \`./skerry contracts release --retire '${contract}'\`. See docs/contracts.md.`
  ].join('\n    ')
}

function summary(breaking: number, additive: number, fresh: number): string {
  if (breaking + additive + fresh === 0) return 'All contracts are as they were released.'
  return `${breaking} breaking, ${additive} additive, ${fresh} new.`
}
