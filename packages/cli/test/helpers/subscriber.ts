import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { runCli } from './cli.ts'

/** What the subscribers of the guides print of a post. */
export type Printed = { id: string; entity: string; text: string }

/** What the shell of a guide has after `eval "$(./skerry subscriber)"`. */
export async function subscriberVariables(home: string): Promise<Record<string, string>> {
  const { code, out, errors } = await runCli(['subscriber'], { SKERRY_HOME: home })
  if (code !== 0) throw new Error(errors)
  return Object.fromEntries(
    [...out.matchAll(/^export (\w+)='([^']*)'$/gm)].map(([, name = '', value = '']) => [name, value])
  )
}

/** Starts a guide's program, whose output is one line of JSON for each post. */
export function startSubscriber(
  t: Test,
  command: string,
  args: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv }
) {
  const child: ChildProcess = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  let out = ''
  let errors = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
  }
  t.teardown(stop)
  const events = () =>
    out
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Printed)
  /** Waits until it has printed the post with this text. */
  const printed = (text: string) =>
    waitFor(
      () => {
        if (child.exitCode !== null) throw new Error(`the program ended with ${child.exitCode}: ${errors}`)
        return events().some((event) => event.text === text)
      },
      { timeoutMs: 60_000, message: `the program has printed ${text}` }
    )
  return { events, printed, stop }
}
