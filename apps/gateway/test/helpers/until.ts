/** Waits for a condition, not for a time. */
export async function until(what: () => boolean | Promise<boolean>, bound = 15_000): Promise<void> {
  const end = performance.now() + bound
  while (!(await what())) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
