"""Operations on studies, keys, sessions and the audit log."""

from mstar.api.audit import AuditEntry
from mstar.api.keys import Key, KeyCreate, NewKey
from mstar.api.runs import Page
from mstar.api.sessions import EndedSessions, EndSessions, OpenSession
from mstar.api.studies import StudyCreate, StudyView
from mstar.client.declared import Declared, given, once
from mstar.client.operations import Call, operation
from mstar.client.run_operations import CHECK_SECONDS
from mstar.study.record import StudyRun


class AdminOperations(Declared):
    """`/v1/studies`, `/v1/keys`, `/v1/sessions` and `/v1/audit` of the coordinator."""

    @operation
    def create_study(self, study: StudyCreate, key: str | None = None) -> Call[StudyView]:
        """Start a study; the same key with the same body gives the same one."""
        return self._call(StudyView, "POST", "/v1/studies", body=study, headers=once(key), timeout=CHECK_SECONDS)

    @operation
    def studies(self, after: str | None = None, limit: int = 20) -> Call[Page[StudyView]]:
        """Studies, newest first."""
        return self._call(Page[StudyView], "GET", "/v1/studies", params=given(after=after, limit=limit))

    @operation
    def study(self, study_id: str) -> Call[StudyView]:
        """One study with the states of its runs."""
        return self._call(StudyView, "GET", f"/v1/studies/{study_id}")

    @operation
    def study_results(self, study_id: str, after: str | None = None, limit: int = 20) -> Call[Page[StudyRun]]:
        """What is kept of the finished runs of a study, in their order."""
        params = given(after=after, limit=limit)
        return self._call(Page[StudyRun], "GET", f"/v1/studies/{study_id}/results", params=params)

    @operation
    def resume_study(self, study_id: str) -> Call[StudyView]:
        """Try the failed runs of a study again."""
        return self._call(StudyView, "POST", f"/v1/studies/{study_id}/resume")

    @operation
    def cancel_study(self, study_id: str) -> Call[StudyView]:
        """End a study and the run that is under way."""
        return self._call(StudyView, "POST", f"/v1/studies/{study_id}/cancel")

    @operation
    def create_key(self, create: KeyCreate) -> Call[NewKey]:
        """Make a key; the answer is the only place that shows it."""
        return self._call(NewKey, "POST", "/v1/keys", body=create)

    @operation
    def keys(self, after: str | None = None, limit: int = 100) -> Call[Page[Key]]:
        """Keys of the caller's project, the newest first; of all projects for an operator."""
        return self._call(Page[Key], "GET", "/v1/keys", params=given(after=after, limit=limit))

    @operation
    def revoke_key(self, key_id: str) -> Call[Key]:
        """End a key for good. Raises NotFound."""
        return self._call(Key, "POST", f"/v1/keys/{key_id}/revoke")

    @operation
    def sessions(self, name: str | None = None, after: str | None = None, limit: int = 100) -> Call[Page[OpenSession]]:
        """Who is signed in at a browser, the newest first; `name`: only this one."""
        params = given(name=name, after=after, limit=limit)
        return self._call(Page[OpenSession], "GET", "/v1/sessions", params=params)

    @operation
    def end_session(self, session_id: str) -> Call[OpenSession]:
        """End somebody's session. Raises NotFound."""
        return self._call(OpenSession, "POST", f"/v1/sessions/{session_id}/end")

    @operation
    def end_sessions(self, name: str) -> Call[EndedSessions]:
        """End all sessions of a name. Raises NotFound where nobody of that name is signed in."""
        return self._call(EndedSessions, "POST", "/v1/sessions/end", body=EndSessions(name=name))

    @operation
    def audit(self, after: str | None = None, limit: int = 100) -> Call[Page[AuditEntry]]:
        """Who changed what, the newest first."""
        return self._call(Page[AuditEntry], "GET", "/v1/audit", params=given(after=after, limit=limit))
