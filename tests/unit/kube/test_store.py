"""The store never goes back, whichever of watch and write speaks first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.api.kinds import POD
from rollout.kube.objects import Key, Object
from rollout.kube.store import Change, Store


def pod(name: str, version: int, namespace: str = "test", **labels: str) -> Object:
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "resourceVersion": str(version),
            "labels": labels,
            "managedFields": [{"manager": "kubectl"}],
        }
    }


def version(store: Store, name: str = "a") -> int | None:
    obj = store.get("test", name)
    return None if obj is None else int(obj["metadata"]["resourceVersion"])


def watched(store: Store, *versions: int) -> None:
    for each in versions:
        store.put(pod("a", each), announced=True)


def test_the_answer_of_a_write_before_its_watch_event() -> None:
    store, changes = Store(POD), list[Change]()
    watched(store, 5)
    store.subscribe(changes.append)
    assert store.put(pod("a", 10))
    watched(store, 8, 10)
    assert version(store) == 10
    assert [change.new and change.new["metadata"]["resourceVersion"] for change in changes] == [
        "10"
    ]


def test_the_answer_of_a_write_after_its_watch_event() -> None:
    store = Store(POD)
    watched(store, 10, 12)
    assert not store.put(pod("a", 10))
    assert version(store) == 12


def test_an_object_deleted_while_the_answer_was_under_way_stays_deleted() -> None:
    store = Store(POD)
    watched(store, 5)
    store.remove(pod("a", 12))
    assert not store.put(pod("a", 11))
    assert version(store) is None


def test_an_object_created_again_comes_back() -> None:
    store = Store(POD)
    watched(store, 5)
    store.remove(pod("a", 12))
    assert store.put(pod("a", 13))
    assert version(store) == 13


def test_an_old_deletion_does_not_take_the_new_object() -> None:
    store = Store(POD)
    watched(store, 5)
    store.put(pod("a", 20))
    assert not store.remove(pod("a", 15))
    assert version(store) == 20


def test_a_bookmark_outdates_answers_as_an_event_does() -> None:
    store = Store(POD)
    store.progress(30)
    assert not store.put(pod("a", 29))


def test_a_list_shows_deletions_but_spares_what_was_written_since() -> None:
    store, changes = Store(POD), list[Change]()
    store.replace([pod("a", 1), pod("b", 2), pod("c", 3)], 5)
    store.put(pod("new", 12))
    store.subscribe(changes.append)
    assert store.replace([pod("a", 1), pod("b", 7)], 10) == 2
    assert [change.key.name for change in changes] == ["b", "c"]
    assert [obj["metadata"]["name"] for obj in store.list()] == ["a", "b", "new"]


def test_a_server_restored_from_a_backup_is_believed() -> None:
    store = Store(POD)
    store.replace([pod("a", 90), pod("b", 91)], 100)
    store.replace([pod("a", 40)], 50)
    assert version(store) == 40
    assert version(store, "b") is None
    assert store.put(pod("a", 51), announced=True)


def test_what_the_watch_does_not_cover_does_not_enter() -> None:
    store = Store(POD, accepts=lambda obj: obj["metadata"]["labels"].get("app") == "x")
    assert store.put(pod("a", 1, app="x"))
    assert not store.put(pod("b", 2, app="y"))
    assert store.put(pod("a", 3, app="y")), "it left the selector"
    assert len(store) == 0


def test_managed_fields_are_dropped() -> None:
    store = Store(POD)
    store.put(pod("a", 1))
    assert store.list()[0]["metadata"].keys() == {"namespace", "name", "resourceVersion", "labels"}


def test_an_index_follows_changes() -> None:
    store = Store(POD)
    store.put(pod("early", 1, app="x"))
    store.index("app", lambda obj: obj["metadata"]["labels"].values())

    def found(value: str) -> list[str]:
        return [obj["metadata"]["name"] for obj in store.by_index("app", value)]

    store.put(pod("z", 2, app="x"), announced=True)
    store.put(pod("a", 3, app="y"), announced=True)
    assert (found("x"), found("y")) == (["early", "z"], ["a"])
    store.put(pod("z", 4, app="y"), announced=True)
    assert (found("x"), found("y")) == (["early"], ["a", "z"])
    store.remove(pod("a", 5))
    assert (found("x"), found("y"), found("none")) == (["early"], ["z"], [])


def test_lists_are_sorted_and_by_namespace() -> None:
    store = Store(POD)
    for number, (namespace, name) in enumerate([("b", "x"), ("a", "y"), ("a", "x")], start=1):
        store.put(pod(name, number, namespace))
    keys = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in store.list()]
    assert keys == [("a", "x"), ("a", "y"), ("b", "x")]
    assert len(store.list("a")) == 2
    assert store.list("none") == []


def test_a_subscriber_that_fails_stops_neither_the_store_nor_the_others() -> None:
    store, seen = Store(POD), list[Key]()

    def fails(change: Change) -> None:
        raise RuntimeError(change.key)

    store.subscribe(fails)
    stop = store.subscribe(lambda change: seen.append(change.key))
    store.put(pod("a", 1))
    stop()
    store.put(pod("a", 2))
    assert seen == [Key("test", "a")]


def test_an_indexer_that_fails_merely_does_not_find() -> None:
    store = Store(POD)
    store.index("node", lambda obj: [obj["spec"]["nodeName"]])
    assert store.put(pod("a", 1))
    assert store.by_index("node", "n") == []


@given(
    seed_version=st.sampled_from([0, 3]),
    history=st.lists(st.sampled_from(["write", "delete"]), min_size=1, max_size=6),
    answers=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=6),
)
def test_the_watch_decides_whenever_answers_arrive(
    seed_version: int, history: list[str], answers: list[tuple[int, int]]
) -> None:
    """The server's history is announced in order; answers of its writes come in anywhere, late or early."""
    store = Store(POD)
    store.progress(seed_version)
    writes = [number for number, what in enumerate(history) if what == "write"]

    def answered(moment: int) -> None:
        for write, when in answers if writes else ():
            if when == moment:
                store.put(pod("a", seed_version + 1 + writes[write % len(writes)]))

    for number, what in enumerate(history):
        answered(number)
        if what == "write":
            store.put(pod("a", seed_version + 1 + number), announced=True)
        else:
            store.remove(pod("a", seed_version + 1 + number))
    answered(6)
    assert version(store) == (seed_version + len(history) if history[-1] == "write" else None)
