import { readFile, rm } from 'node:fs/promises'
import type { Children } from './child.ts'

/** One package's script as turbo ran it. */
export type Task = { package: string; ok: boolean; output: string; seconds: number }

/** `output` is turbo's own, for when it fails without a task that did. */
export type TurboRun = { ok: boolean; output: string; tasks: Task[] }

type Summary = {
  tasks: {
    package: string
    task: string
    execution?: { startTime: number; endTime: number; exitCode: number | null }
  }[]
}

/**
 * Runs a script of the given packages through turbo, two at a time, to the end whatever fails.
 *
 * @param onLine told each line that a package's script prints
 */
export async function runScript(
  children: Children,
  script: string,
  packages: readonly string[],
  options: { env?: Record<string, string>; onLine?(name: string, line: string): void } = {}
): Promise<TurboRun> {
  const outputs = new Map<string, string[]>()
  const own: string[] = []
  const args = ['run', script, '--json', '--summarize', '--continue=always', '--concurrency=2']
  const ended = await children.run('turbo', [...args, ...packages.map((name) => `--filter=${name}`)], {
    env: options.env ?? {},
    onLine(line) {
      const [source, text] = parse(line)
      if (!source.endsWith(`#${script}`)) return own.push(text)
      const name = source.slice(0, -script.length - 1)
      const lines = outputs.get(name)
      if (lines === undefined) outputs.set(name, [text])
      else lines.push(text)
      options.onLine?.(name, text)
    }
  })
  const path = own.map((text) => /^Summary:\s+(.+\.json)$/.exec(text)?.[1]).find((found) => found !== undefined)
  if (path === undefined) return { ok: false, output: ended.output, tasks: [] }
  const summary = JSON.parse(await readFile(path, 'utf8')) as Summary
  await rm(path)
  const tasks = summary.tasks.map((task) => ({
    package: task.package,
    ok: task.execution?.exitCode === 0,
    output: (outputs.get(task.package) ?? []).join('\n'),
    seconds: ((task.execution?.endTime ?? 0) - (task.execution?.startTime ?? 0)) / 1000
  }))
  return { ok: ended.code === 0, output: own.join('\n'), tasks }
}

/** Where a line comes from and what it says; turbo's last words are plain text. */
function parse(line: string): [source: string, text: string] {
  try {
    const { source, text } = JSON.parse(line) as { source: string; text: string }
    return [source, text]
  } catch {
    return ['turbo', line]
  }
}
