// How the search orders what it finds: claims and pages stand before the API. Sphinx reads this in
// place of its own scores, which are the same but for the function.
var Scorer = {
  score: ([page, , , , score]) => (page.startsWith("api/") ? score - 1000 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 }, // 0 is a claim
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
