import t from 'tap'
import { collisionsOf, visible } from '../src/collisions.ts'

t.test('names collide when they are stored in two forms', async (t) => {
  const former = (stored: string, form: string, id: string, holders: string[] = []) => ({
    ...{ kind: 'email', stored, form, ids: [id], holders }
  })
  t.same(collisionsOf([former('A', 'a', '1'), former('B', 'b', '2', ['3']), former('Ａ', 'a', '4')]), [
    {
      kind: 'email',
      form: 'a',
      carriers: [
        { stored: 'A', ids: ['1'] },
        { stored: 'Ａ', ids: ['4'] }
      ]
    },
    {
      kind: 'email',
      form: 'b',
      carriers: [
        { stored: 'b', ids: ['3'] },
        { stored: 'B', ids: ['2'] }
      ]
    }
  ])
  t.same(collisionsOf([former('A', 'a', '1'), { ...former('A', 'a', '1'), kind: 'tag' }]), [], 'each kind by itself')
  t.equal(visible('ada\u200b@m\u00fcnchen.example e\u0301'), 'ada<U+200B>@münchen.example<U+0020>e<U+0301>')
})
