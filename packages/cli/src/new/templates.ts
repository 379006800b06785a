import { glob, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const TEMPLATES = resolve(import.meta.dirname, '../../templates')

/**
 * A template with its names filled in: `{{name}}` in the text, `__name__` in paths. Throws for a name that nobody gave, so that none is
 * ever left in what is written.
 */
export async function renderFile(path: string, values: Readonly<Record<string, string>>): Promise<string> {
  return fill(await readFile(join(TEMPLATES, path), 'utf8'), values)
}

/** All templates of a folder by the path that they make, in order. */
export async function renderFolder(
  folder: string,
  values: Readonly<Record<string, string>>
): Promise<Map<string, string>> {
  const paths = await Array.fromAsync(glob('**/{*,.*}.tmpl', { cwd: join(TEMPLATES, folder) }))
  const files = new Map<string, string>()
  for (const path of paths.sort()) {
    const made = path.replaceAll(/__(\w+?)__/g, (_, name: string) => given(name, values)).replace(/\.tmpl$/, '')
    files.set(made, await renderFile(join(folder, path), values))
  }
  return files
}

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => given(name, values))
}

function given(name: string, values: Readonly<Record<string, string>>): string {
  const value = values[name]
  if (value === undefined) throw new Error(`the template wants ${name}, which is not given`)
  return value
}
