import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'

/**
 * Has a person change a payload in $VISUAL or $EDITOR and gives it to `send`. What was edited is lost only once it was sent: when `send`
 * rejects, the file stays and its path is told.
 */
export async function editText(
  payload: string,
  name: string,
  env: NodeJS.ProcessEnv,
  send: (text: string) => Promise<boolean>
): Promise<boolean> {
  const editor = env.VISUAL || env.EDITOR
  if (!editor) throw new StartError('set EDITOR to the command of your editor, or give the payload with --data FILE')
  const folder = await mkdtemp(join(tmpdir(), 'skerry-letter-'))
  const path = join(folder, `${name}.json`)
  const before = pretty(payload)
  await writeFile(path, before, { mode: 0o600 })
  // Through a shell, since an editor may have arguments: `code --wait`.
  const child = spawn('sh', ['-c', `${editor} "$1"`, 'sh', path], { stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  const after = await readFile(path, 'utf8')
  if (code !== 0 || after === before) {
    await rm(folder, { recursive: true })
    throw new StartError(
      code === 0 ? 'nothing was changed, so nothing was sent' : `${editor} ended with ${code}: nothing was sent`
    )
  }
  try {
    const done = await send(after)
    await rm(folder, { recursive: true })
    return done
  } catch (error) {
    throw new StartError(`${(error as Error).message}\nThe edit is kept: mend it and give it with --data ${path}`, {
      cause: error
    })
  }
}

function pretty(payload: string): string {
  try {
    return `${JSON.stringify(JSON.parse(payload), null, 2)}\n`
  } catch {
    return payload
  }
}
