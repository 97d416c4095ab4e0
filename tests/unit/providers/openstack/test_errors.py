import pytest

from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError, QuotaError
from cnflow.providers.openstack.errors import ApiError, has_no_room, meaning_of


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [
        (401, "The request you have made requires authentication.", BlockRejectedError),
        (403, "Quota exceeded for cores, ram: Requested 1, but already used 20 of 20 cores", QuotaError),
        (409, "Quota exceeded for resources: ['floatingip'].", QuotaError),
        (403, "Policy doesn't allow os_compute_api:servers:create to be performed.", BlockRejectedError),
        (413, "This request was rate-limited.", ProviderBusyError),
        (429, "Too Many Requests", ProviderBusyError),
        (400, "No more IP addresses available on network 7.", ProviderBusyError),
        (400, "Can not find requested image", BlockRejectedError),
        (409, "Multiple possible networks found, use a Network ID to be more specific.", BlockRejectedError),
        (500, "Unexpected API Error.", BlockError),
        (503, "", BlockError),
    ],
)
def test_refusal_has_the_meaning_of_its_status_and_words(status, words, error):
    found = meaning_of(ApiError(status, words), "The server is refused")
    assert type(found) is error
    assert str(found).startswith(f"The server is refused: {words}")


def test_refusal_for_several_networks_names_the_option():
    assert "networks=['NAME']" in str(meaning_of(ApiError(409, "Multiple possible networks found"), "x"))


def test_lack_of_hosts_is_told_from_other_faults():
    assert has_no_room("No valid host was found. ")
    assert not has_no_room("Exceeded maximum number of retries. Exhausted all hosts available for retrying")
    assert not has_no_room("Build of instance 7 aborted: Failed to allocate the network(s)")
