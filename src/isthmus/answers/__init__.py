"""Results of queries: sequences that are also tables.

answers = recommender.recommend(histories)      # Answers, one for each query
answers[0]                                      # the answer to the first query, a sequence of results
for item, score, title in answers[0]: ...
answers.to_arrow(), answers.to_pandas(), polars.DataFrame(answers)      # query, rank, id, score, title
"""

from isthmus.answers.ranked import Answers, RankedList, RankedLists, id_type
from isthmus.answers.tabular import Tabular

__all__ = ["Answers", "RankedList", "RankedLists", "Tabular", "id_type"]
