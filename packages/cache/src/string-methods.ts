/** So many that V8 notes what the look-ups below find: it does not for a function that is hardly ever called. */
const LOOKS = 1_000

/**
 * Has V8 find the methods of strings at once again. ioredis derives a class from `String`, whereupon V8 keeps `String.prototype` as a dictionary, and
 * each `text.indexOf()` of the whole process is a search from then on, a third of what parsing or writing a head costs (docs/gateway-design.md has
 * the figures). Looking for what is not there through an object below it makes V8 lay it out anew. It changes nothing else.
 */
export function layOutStringMethods(): void {
  const below = Object.create(String.prototype) as { nothing?: undefined }
  for (let i = 0; i < LOOKS; i++) look(below)
}

function look(object: { nothing?: undefined }): undefined {
  return object.nothing
}
