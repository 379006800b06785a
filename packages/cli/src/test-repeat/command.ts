import { StartError } from '@skerry/stores'
import { homeFolder } from '../repository.ts'
import { createChildren } from '../test-run/child.ts'
import { withInterruption } from '../test-run/interruption.ts'
import { defaultJobs } from '../test-run/suite.ts'
import { ensureTapBuild } from '../test-run/tap-build.ts'
import { repeatTests } from './index.ts'

/** The options of `./skerry repeat` as they are given. */
export type RepeatValues = {
  runs?: string
  jobs?: string
  seed?: string
  'hog-runs'?: string
  package: string[]
  file: string[]
  hog: boolean
  'slow-fsync': boolean
  faults: boolean
  again: boolean
}

/** `./skerry repeat`: reads its options and runs it until it is done or interrupted. */
export async function repeat(repo: string, positionals: readonly string[], values: RepeatValues): Promise<number> {
  const number = (name: 'runs' | 'jobs' | 'seed' | 'hog-runs', least: number, otherwise: number) => {
    const given = values[name]
    if (given === undefined) return otherwise
    if (!/^\d+$/.test(given) || Number(given) < least || Number(given) >= 2 ** 32)
      throw new StartError(`--${name} takes a number from ${least} on, not "${given}". See: ./skerry help repeat`)
    return Number(given)
  }
  const runs = number('runs', 1, 10)
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  return withInterruption(say, async (signal) => {
    try {
      const children = createChildren(repo)
      signal.addEventListener('abort', () => children.stop())
      const notBuilt = await ensureTapBuild(children, repo)
      if (notBuilt !== undefined) throw new Error(notBuilt.output)
      return await repeatTests({
        ...{ repo, home: homeFolder(process.env), runs, say, signal },
        args: [...positionals, ...values.package, ...values.file],
        jobs: number('jobs', 1, defaultJobs()),
        hogRuns: values.hog ? runs : number('hog-runs', 0, 0),
        slowFsync: values['slow-fsync'],
        faults: values.faults,
        again: values.again,
        ...(values.seed === undefined ? {} : { seed: number('seed', 0, 0) })
      })
    } catch (error) {
      if (error instanceof StartError || signal.aborted) throw error
      say((error as Error).message)
      return 1
    }
  })
}
