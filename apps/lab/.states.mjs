import { explore, resolveScenario } from '@shootdown/explorer';
import { scenarios } from '@shootdown/scenarios';
for (const name of process.argv.slice(2)) for (const v of scenarios.find(s=>s.name===name).variants) {
  const r = resolveScenario(scenarios,{scenario:name,variant:v.name});
  const f = await explore(r.build(),{interleavingsStatesMax:0});
  console.log(name, v.name, r.memoryModel, f.verdict, f.property, f.states, f.schedule?.length??'', f.seconds.toFixed(2));
}
