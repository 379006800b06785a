import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { binCache } from '@skerry/testing'
import { REPOSITORY } from '../../src/repository.ts'
import type { Ended } from './cli.ts'

/** What is no source: made again where it is needed. */
const MADE = new Set(['node_modules', '.git', '.skerry', '.tap', '.turbo', 'dist'])

type Tap = { teardown(work: () => Promise<void>): unknown }

export type Checkout = {
  readonly folder: string
  /** Runs the CLI of this checkout as a user would; it installs the checkout first, where that has not been done. */
  skerry(args: readonly string[], env?: Record<string, string>): Promise<Ended>
  /** Runs one of its tools. */
  tool(name: string, args: readonly string[], cwd?: string): Promise<Ended>
}

/** A copy of this checkout's sources to write into, removed at the end. */
export async function copyCheckout(t: Tap): Promise<Checkout> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-checkout-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await cp(REPOSITORY, folder, { recursive: true, filter: (path) => !MADE.has(basename(path)) })
  return {
    folder,
    skerry: (args, env) => run(process.execPath, [join(folder, 'packages/cli/bin/skerry.mjs'), ...args], folder, env),
    tool: (name, args, cwd = '.') => run(join(folder, 'node_modules/.bin', name), args, join(folder, cwd))
  }
}

async function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {}
): Promise<Ended> {
  const child = spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SKERRY_BIN: binCache(), ...env }
  })
  const ended: Ended = { code: null, out: '', errors: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    ended.out += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    ended.errors += chunk
  })
  const [code] = await once(child, 'close')
  return { ...ended, code }
}
