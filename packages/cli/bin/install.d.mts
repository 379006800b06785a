export function isInstalled(root: string): boolean
export function install(root: string, args: readonly string[], output?: 'inherit' | 'pipe'): void
