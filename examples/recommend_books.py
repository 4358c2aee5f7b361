"""Train on the bundled books, ask for somebody new, explain, save and load.

python examples/recommend_books.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from isthmus_interactions import Recommender
from isthmus_interactions.datasets import demo_goodbooks
from isthmus_interactions.splits import strong


def main() -> None:
    """The whole way in a page."""
    ratings, titles = demo_goodbooks()
    split = strong(ratings, held_out=250, seed=0)
    recommender = Recommender.fit(split.train, model="ease", validation=split.validation, regularisation=100.0)
    measured = recommender.evaluate(split.test, ("recall_capped@20", "ndcg@100"))
    print({name: round(mean, 3) for name, mean in measured.means.items()})

    history = [7, 19, 126]  # The Hobbit, The Fellowship of the Ring, Dune
    (answer,) = recommender.recommend([history], k=5)
    for book, score in zip(answer.ids, answer.scores, strict=True):
        print(f"{score:.3f}", *titles[book], sep="  ")

    best = answer.ids[0]
    reasons = recommender.explain(history, best)
    print("because of", [titles[book][0] for book in reasons.ids])

    with TemporaryDirectory() as folder:
        recommender.save(Path(folder) / "books.bundle")
        again = Recommender.load(Path(folder) / "books.bundle")
        assert again.recommend([history], k=5)[0].ids == answer.ids


if __name__ == "__main__":
    main()
