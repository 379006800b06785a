import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { REPOSITORY } from '../repository.ts'

/** Runs packages/bench in a process of its own, so that what it measures is not this one. */
export async function runBench(args: string[]): Promise<number> {
  const child = spawn(process.execPath, [join(REPOSITORY, 'packages/bench/src/main.ts'), ...args], { stdio: 'inherit' })
  const pass = (signal: NodeJS.Signals) => void child.kill(signal)
  process.on('SIGINT', pass).on('SIGTERM', pass)
  const [code] = await once(child, 'exit')
  return code ?? 1
}
