"""The R4 resources that are read, each with only the fields that a rule may need (hl7.org/fhir/R4)."""

from __future__ import annotations

from base64 import b64decode

from cds.fhir.elements import (
    CodeableConcept,
    Coding,
    Identifier,
    PayorReference,
    Period,
    Quantity,
    Range,
    Reference,
    Shape,
    TimingShape,
)


class Subject(Shape):
    """What every resource of a patient has: its id, its status, whose it is."""

    id: str = ""
    status: str = ""
    subject: Reference | None = None
    patient: Reference | None = None


class Patient(Shape):
    """Patient: no name, no address, and no birth date as long as no policy asks for an age."""

    id: str = ""


class EncounterParticipant(Shape):
    """Encounter.participant."""

    type: tuple[CodeableConcept, ...] = ()
    individual: Reference | None = None


class EncounterDiagnosis(Shape):
    """Encounter.diagnosis."""

    condition: Reference | None = None


class Encounter(Subject):
    """Encounter. `actualPeriod` is R5's name of `period`."""

    class_: Coding | None = None
    type: tuple[CodeableConcept, ...] = ()
    serviceType: CodeableConcept | None = None
    period: Period | None = None
    actualPeriod: Period | None = None
    reasonCode: tuple[CodeableConcept, ...] = ()
    reasonReference: tuple[Reference, ...] = ()
    diagnosis: tuple[EncounterDiagnosis, ...] = ()
    participant: tuple[EncounterParticipant, ...] = ()
    basedOn: tuple[Reference, ...] = ()
    episodeOfCare: tuple[Reference, ...] = ()


class Procedure(Subject):
    """Procedure."""

    code: CodeableConcept | None = None
    category: CodeableConcept | None = None
    performedDateTime: str = ""
    performedPeriod: Period | None = None
    occurrenceDateTime: str = ""
    encounter: Reference | None = None
    basedOn: tuple[Reference, ...] = ()
    reasonCode: tuple[CodeableConcept, ...] = ()
    bodySite: tuple[CodeableConcept, ...] = ()


class ClaimRelated(Shape):
    """Claim.related: the claim that this one replaces."""

    claim: Reference | None = None
    relationship: CodeableConcept | None = None


class Money(Shape):
    """Money."""

    value: float | None = None
    currency: str = ""


class Adjudication(Shape):
    """ExplanationOfBenefit.item.adjudication."""

    category: CodeableConcept | None = None
    amount: Money | None = None


class ClaimItem(Shape):
    """A line of a Claim or ExplanationOfBenefit."""

    quantity: Quantity | None = None
    adjudication: tuple[Adjudication, ...] = ()

    productOrService: CodeableConcept | None = None
    revenue: CodeableConcept | None = None
    modifier: tuple[CodeableConcept, ...] = ()
    servicedDate: str = ""
    servicedPeriod: Period | None = None
    encounter: tuple[Reference, ...] = ()


class Claim(Subject):
    """Claim or ExplanationOfBenefit."""

    use: str = ""
    outcome: str = ""
    claim: Reference | None = None
    related: tuple[ClaimRelated, ...] = ()
    item: tuple[ClaimItem, ...] = ()
    billablePeriod: Period | None = None


class AppointmentParticipant(Shape):
    """Appointment.participant."""

    actor: Reference | None = None


class Appointment(Shape):
    """Appointment."""

    id: str = ""
    status: str = ""
    start: str = ""
    serviceType: tuple[CodeableConcept, ...] = ()
    specialty: tuple[CodeableConcept, ...] = ()
    appointmentType: CodeableConcept | None = None
    reasonCode: tuple[CodeableConcept, ...] = ()
    basedOn: tuple[Reference, ...] = ()
    participant: tuple[AppointmentParticipant, ...] = ()


class EpisodeOfCare(Subject):
    """EpisodeOfCare."""

    type: tuple[CodeableConcept, ...] = ()
    period: Period | None = None
    diagnosis: tuple[EncounterDiagnosis, ...] = ()


class ObservationComponent(Shape):
    """Observation.component."""

    code: CodeableConcept | None = None
    valueQuantity: Quantity | None = None
    valueInteger: int | None = None
    valueString: str = ""
    valueBoolean: bool | None = None
    valueCodeableConcept: CodeableConcept | None = None
    dataAbsentReason: CodeableConcept | None = None


class Observation(Subject):
    """Observation."""

    code: CodeableConcept | None = None
    effectiveDateTime: str = ""
    effectivePeriod: Period | None = None
    effectiveInstant: str = ""
    issued: str = ""
    valueQuantity: Quantity | None = None
    valueInteger: int | None = None
    valueString: str = ""
    valueBoolean: bool | None = None
    valueCodeableConcept: CodeableConcept | None = None
    dataAbsentReason: CodeableConcept | None = None
    bodySite: CodeableConcept | None = None
    component: tuple[ObservationComponent, ...] = ()
    hasMember: tuple[Reference, ...] = ()
    derivedFrom: tuple[Reference, ...] = ()


class AnswerWeight(Shape):
    """An extension of a coded answer that says what it is worth."""

    url: str = ""
    valueDecimal: float | None = None


class AnswerCoding(Coding):
    """QuestionnaireResponse.item.answer.valueCoding, with its weight where the form says one."""

    extension: tuple[AnswerWeight, ...] = ()


class Answer(Shape):
    """QuestionnaireResponse.item.answer."""

    valueBoolean: bool | None = None
    valueDecimal: float | None = None
    valueInteger: int | None = None
    valueString: str = ""
    valueDate: str = ""
    valueCoding: AnswerCoding | None = None
    valueQuantity: Quantity | None = None
    item: tuple[ResponseItem, ...] = ()


class ResponseItem(Shape):
    """QuestionnaireResponse.item."""

    linkId: str = ""
    text: str = ""
    definition: str = ""
    answer: tuple[Answer, ...] = ()
    item: tuple[ResponseItem, ...] = ()


class QuestionnaireResponse(Subject):
    """QuestionnaireResponse."""

    questionnaire: str = ""
    authored: str = ""
    item: tuple[ResponseItem, ...] = ()


class Condition(Subject):
    """Condition."""

    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    code: CodeableConcept | None = None
    bodySite: tuple[CodeableConcept, ...] = ()
    onsetDateTime: str = ""
    onsetPeriod: Period | None = None
    onsetString: str = ""
    abatementDateTime: str = ""
    abatementString: str = ""
    abatementPeriod: Period | None = None
    abatementBoolean: bool | None = None
    recordedDate: str = ""


class GoalTarget(Shape):
    """Goal.target."""

    measure: CodeableConcept | None = None
    detailQuantity: Quantity | None = None
    detailRange: Range | None = None
    detailCodeableConcept: CodeableConcept | None = None
    detailString: str = ""
    dueDate: str = ""


class Goal(Subject):
    """Goal."""

    lifecycleStatus: str = ""
    achievementStatus: CodeableConcept | None = None
    description: CodeableConcept | None = None
    statusDate: str = ""
    target: tuple[GoalTarget, ...] = ()


class CarePlanDetail(Shape):
    """CarePlan.activity.detail."""

    status: str = ""
    description: str = ""
    code: CodeableConcept | None = None
    scheduledTiming: TimingShape | None = None
    scheduledPeriod: Period | None = None
    quantity: Quantity | None = None


class CarePlanActivity(Shape):
    """CarePlan.activity."""

    detail: CarePlanDetail | None = None
    reference: Reference | None = None


class CarePlan(Subject):
    """CarePlan."""

    period: Period | None = None
    category: tuple[CodeableConcept, ...] = ()
    activity: tuple[CarePlanActivity, ...] = ()
    goal: tuple[Reference, ...] = ()


class ImagingSeries(Shape):
    """ImagingStudy.series."""

    modality: Coding | None = None
    bodySite: Coding | None = None


class ImagingStudy(Subject):
    """ImagingStudy."""

    modality: tuple[Coding, ...] = ()
    started: str = ""
    description: str = ""
    procedureCode: tuple[CodeableConcept, ...] = ()
    series: tuple[ImagingSeries, ...] = ()


class DiagnosticReport(Subject):
    """DiagnosticReport."""

    category: tuple[CodeableConcept, ...] = ()
    code: CodeableConcept | None = None
    effectiveDateTime: str = ""
    effectivePeriod: Period | None = None
    issued: str = ""


class Medication(Subject):
    """MedicationRequest or MedicationStatement."""

    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: Reference | None = None
    authoredOn: str = ""
    effectiveDateTime: str = ""
    effectivePeriod: Period | None = None
    dateAsserted: str = ""
    dosageInstruction: tuple[Dosage, ...] = ()
    dispenseRequest: DispenseRequest | None = None


class DispenseRequest(Shape):
    """MedicationRequest.dispenseRequest: for how long it was supplied."""

    expectedSupplyDuration: Quantity | None = None


class Dosage(Shape):
    """Dosage: its timing only; amounts are not read."""

    timing: TimingShape | None = None


_MOST_TEXT = 400_000


class Attachment(Shape):
    """Attachment with its text inline."""

    contentType: str = ""
    data: str = ""

    @property
    def text(self) -> str:
        """The plain text that it holds; of anything else nothing, which is left to a reader's eyes."""
        if not self.contentType.startswith("text/plain"):
            return ""
        try:
            return b64decode(self.data[:_MOST_TEXT], validate=False).decode("utf-8", "replace")
        except ValueError:
            return ""


class DocumentContent(Shape):
    """DocumentReference.content."""

    attachment: Attachment | None = None


class DocumentReference(Subject):
    """DocumentReference."""

    content: tuple[DocumentContent, ...] = ()

    type: CodeableConcept | None = None
    category: tuple[CodeableConcept, ...] = ()
    date: str = ""
    description: str = ""


class TaskInput(Shape):
    """Task.input."""

    valueCanonical: str = ""
    valueString: str = ""


class Task(Subject):
    """Task (`for` is its patient)."""

    for_: Reference | None = None
    code: CodeableConcept | None = None
    description: str = ""
    authoredOn: str = ""
    input: tuple[TaskInput, ...] = ()


class ReviewExtension(Shape):
    """An extension of a payer's review, as Da Vinci PAS and PDex have them: codes, or extensions of its own."""

    url: str = ""
    valueCodeableConcept: CodeableConcept | None = None
    extension: tuple[ReviewExtension, ...] = ()


class ReviewAdjudication(Shape):
    """ClaimResponse.item.adjudication: what came of one line."""

    extension: tuple[ReviewExtension, ...] = ()
    category: CodeableConcept | None = None
    reason: CodeableConcept | None = None


class ReviewedItem(Shape):
    """ClaimResponse.item or .addItem. R4 knows `productOrService` on the second only, but it is sent on both."""

    extension: tuple[ReviewExtension, ...] = ()
    productOrService: CodeableConcept | None = None
    adjudication: tuple[ReviewAdjudication, ...] = ()


class ClaimResponse(Subject):
    """ClaimResponse: the pre-authorization in it. `decision` is R5's."""

    extension: tuple[ReviewExtension, ...] = ()
    type: CodeableConcept | None = None
    insurer: Reference | None = None
    decision: CodeableConcept | None = None
    item: tuple[ReviewedItem, ...] = ()
    addItem: tuple[ReviewedItem, ...] = ()
    use: str = ""
    outcome: str = ""
    preAuthRef: str = ""
    preAuthPeriod: Period | None = None


class CoverageClass(Shape):
    """Coverage.class."""

    type: CodeableConcept | None = None
    value: str = ""
    name: str = ""


class OrganizationShape(Shape):
    """Organization: who a payer is."""

    resourceType: str = ""
    id: str = ""
    identifier: tuple[Identifier, ...] = ()
    name: str = ""


class CoverageExtension(Shape):
    """An extension with the values that are read of it."""

    url: str = ""
    valueDate: str = ""
    valueString: str = ""
    valueCode: str = ""
    valueDateTime: str = ""
    valueCodeableConcept: CodeableConcept | None = None


class Coverage(Shape):
    """Coverage."""

    id: str = ""
    status: str = ""
    type: CodeableConcept | None = None
    beneficiary: Reference | None = None
    period: Period | None = None
    payor: tuple[PayorReference, ...] = ()
    class_: tuple[CoverageClass, ...] = ()
    order: int | None = None
    contained: tuple[OrganizationShape, ...] = ()
    extension: tuple[CoverageExtension, ...] = ()


class Practitioner(Shape):
    """Practitioner or PractitionerRole: what somebody is, not who."""

    id: str = ""
    qualification: tuple[PractitionerQualification, ...] = ()
    code: tuple[CodeableConcept, ...] = ()
    specialty: tuple[CodeableConcept, ...] = ()


class PractitionerQualification(Shape):
    """Practitioner.qualification."""

    code: CodeableConcept | None = None
