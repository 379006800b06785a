import { parseArgs } from 'node:util'
import type { BodiesOptions } from './run.ts'

/** Reads the arguments after `bodies`; throws one line that says what is wrong with them. */
export function parseBodiesOptions(args: string[]): BodiesOptions {
  const { values } = parseArgs({
    args,
    options: { mb: { type: 'string', default: '1024' }, rounds: { type: 'string', default: '5' } }
  })
  return { megabytes: count('mb', values.mb, 1_048_576), rounds: count('rounds', values.rounds, 100) }
}

function count(option: string, text: string, highest: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > highest)
    throw new Error(`--${option} is a whole number from 1 to ${highest}, not "${text}".`)
  return value
}
